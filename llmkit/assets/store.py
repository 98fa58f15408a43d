"""Cache assets: each is fetched once, verified, published as a complete folder, and shared by all runs of this user.

A folder's name ends in a digest of its pin, so that an old folder is never read after a pin or a converter has changed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from llmkit.assets import pinned
from llmkit.assets.convert import ABOUT, DATA, About, convert
from llmkit.assets.download import fetch_archive
from llmkit.assets.pinned import Asset, Kind
from llmkit.base import files
from llmkit.base.progress import Progress

__all__ = ["Entry", "fetch_data_file", "fetch_folder", "list_assets", "read_about"]

FORMAT = 1  # increase it when a converter produces other bytes


@dataclass(frozen=True)
class Entry:
    """One asset in the listing of `llmkit doctor`.

    Attributes:
        name: The asset's name.
        kind: Whether it is a model or data.
        size_bytes: Bytes to download.
        licence: The licence.
        state: `cached`, `not fetched`, or what is damaged and how to fetch it again.
    """

    name: str
    kind: Kind
    size_bytes: int
    licence: str
    state: str


def fetch_folder(name: str, progress: Progress) -> Path:
    """Return the folder of an asset, fetching it first unless it is cached.

    For a cached asset this only checks that its manifest exists. Of two processes, one fetches while the other waits.

    Args:
        name: The asset's name, with or without `index:`.
        progress: Receives the progress of the download.
    """
    asset = pinned.find_asset(name)
    target = _get_folder(asset)
    if not _is_complete(target):
        with files.lock(target.parent / f".{asset.filename}.lock"):
            if not _is_complete(target):  # another process may have been faster
                part = target.parent / f"{asset.filename}.part"
                fetch_archive(asset, part, progress)
                with files.staged_folder(target) as staged:
                    convert(asset, part, staged, progress)
                files.remove(part)
    return target


def fetch_data_file(name: str, progress: Progress) -> Path:
    """Return the JSON lines file of a data asset, fetching it first unless it is cached.

    Its rows have text and label; rated texts also have a score.
    """
    return fetch_folder(pinned.find_asset(name, "data").name, progress) / DATA


def read_about(path: Path) -> About:
    """Read the about.json of a folder or data file of this module."""
    folder = path if path.is_dir() else path.parent
    return cast(About, json.loads((folder / ABOUT).read_text(encoding="utf-8")))


def list_assets(*, verify: bool = False) -> list[Entry]:
    """List all assets and whether they are cached. With `verify`, every cached byte is checked."""
    entries = []
    for asset in pinned.ASSETS.values():
        folder = _get_folder(asset)
        state = "cached" if _is_complete(folder) else "not fetched"
        if verify and state == "cached" and (damage := files.verify_folder(folder)):
            state = f"damaged ({damage}); remove {folder} to fetch it again"
        entries.append(Entry(asset.name, asset.kind, asset.size_bytes, asset.licence, state))
    return entries


def _is_complete(folder: Path) -> bool:
    """Return whether a folder is complete: its manifest is written last."""
    return (folder / files.MANIFEST).is_file()


def _get_folder(asset: Asset) -> Path:
    pin = json.dumps([FORMAT, asset.sha256, asset.convert, dict(asset.members)], sort_keys=True)
    digest = hashlib.sha256(pin.encode()).hexdigest()[:12]
    return files.get_cache_folder() / "assets" / f"{asset.name}-{digest}"
