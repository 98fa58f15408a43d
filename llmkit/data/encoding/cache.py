"""On-disk cache of encoded examples, memory-mapped, so that a second run with the same data starts at once."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from llmkit.base import files
from llmkit.data.encoding.features import Collect, Encoded, Features, Ragged, TokenCounts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["digest_tokenizer", "load_or_encode"]

FORMAT = 4  # of the cached files and of what examples contain; raise it with every change of either
MODEL, DECODE = "model", "decode"  # in file names: columns for the model, columns for decoding


def load_or_encode(encode: Callable[[Collect], Encoded], **identity: Any) -> Encoded:
    """Load the examples with this identity from the cache; encode them first, under a lock, if they are not cached.

    All processes of a machine may call this at the same time: one tokenizes, the others wait and then map the same
    memory pages.

    Args:
        encode: Encodes the examples and passes them, batch by batch, to its argument, which writes them to files.
        identity: Everything that the examples depend on, as JSON values.
    """
    key = json.dumps({"format": FORMAT, **identity}, sort_keys=True)
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    folder = files.get_cache_folder() / "encoded" / digest
    with files.lock(folder.with_suffix(".lock")):
        if not (folder / files.MANIFEST).exists():
            with files.staged_folder(folder) as staged:
                encoded = encode(lambda batches: _write_batches(staged, batches))
                about = {"counts": asdict(encoded.counts), "notes": encoded.notes}
                files.write_json(staged / "about.json", about)
    return _open(folder, json.loads((folder / "about.json").read_text(encoding="utf-8")))


def digest_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a SHA-256 of everything that token ids depend on.

    For a fast tokenizer this is its whole definition, without the truncation and padding that the last call left in
    it, and its special tokens. A tokenizer written in Python, such as Marian's, only shows its vocabulary and settings.
    """
    if not tokenizer.is_fast:
        settings = [type(tokenizer).__name__, sorted(tokenizer.get_vocab().items()), repr(tokenizer)]
        return hashlib.sha256(json.dumps(settings).encode()).hexdigest()
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    special = json.dumps(tokenizer.special_tokens_map, sort_keys=True, default=str)
    return hashlib.sha256(f"{backend.to_str()}\n{special}".encode()).hexdigest()


def _write_batches(folder: Path, batches: Iterable[tuple[int, Features]]) -> Encoded:
    """Do what `Encoded.from_batches` does, but in files, with at most one batch in memory at a time."""
    counts, notes = TokenCounts(), Counter[str]()
    with ExitStack() as stack:
        writer = _ArrayWriter(folder, stack)
        for first, features in batches:
            batch = Encoded.from_features(first, features)
            for kind, columns in ((MODEL, batch.ragged), (DECODE, batch.decode_columns)):
                for name, column in columns.items():
                    writer.append_rows(f"{name}.{kind}", column)
            writer.append("examples", batch.examples)
            counts, notes = counts + batch.counts, notes + Counter(batch.notes)
        writer.finish()
    return _open(folder, {"counts": asdict(counts), "notes": dict(notes)})


class _ArrayWriter:
    """Appends to arrays that are stored as raw numbers, one file per array; `stack` closes the files."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._files: dict[str, BinaryIO] = {}
        self._lengths: dict[str, int] = {}  # of the flat arrays

    def append(self, name: str, values: NDArray[Any]) -> None:
        if name not in self._files:
            self._files[name] = self._stack.enter_context((self._folder / name).open("wb"))
        self._files[name].write(values.tobytes())

    def append_rows(self, name: str, rows: Ragged) -> None:
        length = self._lengths.get(name, 0)
        self.append(f"{name}.flat", rows.flat)
        self.append(f"{name}.offsets", length + rows.offsets[:-1])
        self._lengths[name] = length + len(rows.flat)

    def finish(self) -> None:
        """Write the last offset of each ragged array, the end of its last row."""
        for name, length in self._lengths.items():
            self.append(f"{name}.offsets", np.array([length], np.int64))


def _open(folder: Path, about: Mapping[str, Any]) -> Encoded:
    return Encoded(
        ragged=_map_columns(folder, MODEL),
        counts=TokenCounts(**about["counts"]),
        examples=_map_array(folder / "examples", np.int64),
        decode_columns=_map_columns(folder, DECODE),
        notes=about["notes"],
    )


def _map_columns(folder: Path, kind: str) -> dict[str, Ragged]:
    end = f".{kind}.flat"
    names = sorted(path.name.removesuffix(end) for path in folder.glob(f"*{end}"))
    return {
        name: Ragged(
            _map_array(folder / f"{name}{end}", np.int32),
            _map_array(folder / f"{name}.{kind}.offsets", np.int64),
        )
        for name in names
    }


def _map_array(path: Path, dtype: type) -> NDArray[Any]:
    # numpy cannot map an empty file
    return np.memmap(path, dtype, mode="r") if path.stat().st_size else np.empty(0, dtype)
