"""The cache of assets: fetched once, verified, published as a whole folder, shared by all runs of this user.

A folder's name ends in a digest of its pin, so a changed pin or converter never reads an old folder.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmkit.assets import pinned
from llmkit.assets.convert import ABOUT, DATA, convert
from llmkit.assets.download import fetch_archive
from llmkit.assets.pinned import Asset, Kind
from llmkit.base import files
from llmkit.base.progress import Progress

__all__ = ["Entry", "fetch_data_file", "fetch_folder", "list_assets", "read_about"]

FORMAT = 1  # to be raised when a converter gives other bytes


@dataclass(frozen=True)
class Entry:
    """An asset for `doctor`: size_bytes to fetch; state is `cached`, `not fetched` or what is damaged."""

    name: str
    kind: Kind
    size_bytes: int
    licence: str
    state: str


def fetch_folder(name: str, progress: Progress) -> Path:
    """The folder of an asset (`index:` before the name allowed), fetched first where it is not in the cache.

    An asset that is there costs one look for its manifest. Of two processes, one fetches and the other waits.
    """
    asset = pinned.find_asset(name)
    target = _target(asset)
    if not _published(target):
        with files.lock(_root() / f".{asset.filename}.lock"):
            if not _published(target):  # another process may have been first
                _make(asset, target, progress)
    return target


def fetch_data_file(name: str, progress: Progress) -> Path:
    """The JSONL file of a data asset (text, label and for rated texts score), fetched first where needed."""
    return fetch_folder(pinned.find_asset(name, "data").name, progress) / DATA


def read_about(path: Path) -> dict[str, Any]:
    """What is known of a file or folder of this module: name, description, licence, source, rows (counts)."""
    place = path if path.is_dir() else path.parent
    return dict(json.loads((place / ABOUT).read_text(encoding="utf-8")))


def list_assets(*, verify: bool = False) -> list[Entry]:
    """All assets and whether they are in the cache; verify reads every cached byte again."""
    return [
        Entry(asset.name, asset.kind, asset.size_bytes, asset.licence, _state(asset, verify))
        for asset in pinned.ASSETS.values()
    ]


def _make(asset: Asset, target: Path, progress: Progress) -> None:
    part = _root() / f"{asset.filename}.part"
    fetch_archive(asset, part, progress)
    with files.staged_folder(target) as staged:
        convert(asset, part, staged, progress)
    files.remove(part)


def _state(asset: Asset, verify: bool) -> str:
    target = _target(asset)
    if not _published(target):
        return "not fetched"
    fault = files.verify(target) if verify else None
    return f"damaged ({fault}); remove {target} to fetch it again" if fault else "cached"


def _published(target: Path) -> bool:
    """The manifest is written last, before the folder gets its name."""
    return (target / files.MANIFEST).is_file()


def _target(asset: Asset) -> Path:
    pin = json.dumps([FORMAT, asset.sha256, asset.convert, dict(asset.members)], sort_keys=True)
    return _root() / f"{asset.name}-{hashlib.sha256(pin.encode()).hexdigest()[:12]}"


def _root() -> Path:
    return files.cache_folder() / "assets"
