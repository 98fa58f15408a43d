"""Rows to token ids: once, in batches, cut only when the recipe says so, every cut counted, kept by fingerprint.

The ids of all examples lie in one flat array with offsets (a ragged column), memory-mapped from the cache, so a run
starts at once the second time and the collator only slices.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmkit import files
from llmkit.errors import DataError, Problem
from llmkit.progress import Progress

__all__ = [
    "Encoded",
    "Features",
    "Ragged",
    "TokenCounts",
    "cached",
    "encode",
    "texts_to_ids",
    "tokenizer_digest",
]

BATCH = 1000  # rows in one tokenizer call


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths: row i is flat[offsets[i]:offsets[i + 1]]."""

    flat: NDArray[np.int32]
    offsets: NDArray[np.int64]

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        return self.flat[self.offsets[row] : self.offsets[row + 1]]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    @staticmethod
    def of(rows: Sequence[Sequence[int]]) -> Ragged:
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        flat = np.fromiter((token for row in rows for token in row), np.int32, count=int(offsets[-1]))
        return Ragged(flat, offsets)


@dataclass(frozen=True)
class TokenCounts:
    """What tokenizing did to the texts, in tokens and examples."""

    tokens: int = 0  # kept, special tokens included
    cut_tokens: int = 0
    cut_examples: int = 0
    unknown_tokens: int = 0
    longest: int = 0  # before any cut

    def __add__(self, other: TokenCounts) -> TokenCounts:
        return TokenCounts(
            self.tokens + other.tokens,
            self.cut_tokens + other.cut_tokens,
            self.cut_examples + other.cut_examples,
            self.unknown_tokens + other.unknown_tokens,
            max(self.longest, other.longest),
        )


@dataclass(frozen=True)
class Features:
    """What a task makes of some rows: ragged columns of ids, and the row numbers that were too long."""

    columns: Mapping[str, Sequence[Sequence[int]]]
    counts: TokenCounts
    too_long: tuple[int, ...] = ()  # only where nothing may be cut


@dataclass(frozen=True)
class Encoded:
    """Examples ready for the collator; `input_ids` is always there."""

    ragged: dict[str, Ragged]
    counts: TokenCounts

    @property
    def lengths(self) -> NDArray[np.int64]:
        return self.ragged["input_ids"].lengths

    def __len__(self) -> int:
        return len(self.ragged["input_ids"])


def encode(
    rows: Any,
    to_features: Callable[[Mapping[str, list[Any]]], Features],
    *,
    place: Callable[[int], str],
    max_length: int,
    progress: Progress,
    what: str,
) -> Encoded:
    """Tokenize a datasets.Dataset batch by batch.

    Raises DataError L12 when examples are longer than max_length and the recipe does not allow to cut them.
    """
    batches: list[Features] = []
    too_long: list[int] = []
    for first in range(0, len(rows), BATCH):
        features = to_features(rows[first : first + BATCH])
        too_long += [first + row for row in features.too_long]
        batches.append(features)
        progress.advance(f"tokenizing {what}", min(first + BATCH, len(rows)), len(rows), "rows")
    counts = sum((batch.counts for batch in batches), TokenCounts())
    if too_long:
        raise _too_long(too_long, len(rows), counts, max_length, place)
    names = batches[0].columns
    return Encoded(
        {name: Ragged.of([row for b in batches for row in b.columns[name]]) for name in names}, counts
    )


def texts_to_ids(tokenizer: Any, texts: Sequence[str], *, max_length: int, truncation: bool) -> Features:
    """Token ids with special tokens. Texts longer than max_length are cut, or only named when truncation is off."""
    ids: list[list[int]] = tokenizer(list(texts), return_attention_mask=False, verbose=False)["input_ids"]
    full = [len(row) for row in ids]
    long = [number for number, length in enumerate(full) if length > max_length]
    if long and truncation:
        cut = tokenizer([texts[number] for number in long], truncation=True, max_length=max_length)[
            "input_ids"
        ]
        for number, row in zip(long, cut, strict=True):
            ids[number] = row
    unknown = tokenizer.unk_token_id
    counts = TokenCounts(
        tokens=sum(map(len, ids)),
        cut_tokens=sum(max(0, length - max_length) for length in full),
        cut_examples=len(long),
        unknown_tokens=0 if unknown is None else sum(row.count(unknown) for row in ids),
        longest=max(full, default=0),
    )
    return Features({"input_ids": ids}, counts, () if truncation else tuple(long))


def tokenizer_digest(tokenizer: Any) -> str:
    """What the ids depend on: the fast tokenizer's whole definition."""
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()


def cached(make: Callable[[], Encoded], **identity: str | int | bool) -> Encoded:
    """The examples of this identity from the cache; made once, under a lock, if they are not there.

    All processes of this machine may ask at the same time: one tokenizes, the others wait and then map the same pages.
    """
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
    folder = files.cache_folder() / "encoded" / digest
    with files.lock(folder.with_suffix(".lock")):
        if not (folder / files.MANIFEST).exists():
            with files.staged_folder(folder) as staged:
                _save(staged, make())
    return _open(folder)


def _save(folder: Path, encoded: Encoded) -> None:
    for name, column in encoded.ragged.items():
        np.save(folder / f"{name}.flat.npy", column.flat)
        np.save(folder / f"{name}.offsets.npy", column.offsets)
    files.write_json(folder / "counts.json", asdict(encoded.counts))


def _open(folder: Path) -> Encoded:
    names = sorted(path.name.removesuffix(".flat.npy") for path in folder.glob("*.flat.npy"))
    columns = {
        name: Ragged(
            np.load(folder / f"{name}.flat.npy", mmap_mode="r"),
            np.load(folder / f"{name}.offsets.npy", mmap_mode="r"),
        )
        for name in names
    }
    return Encoded(columns, TokenCounts(**json.loads((folder / "counts.json").read_text(encoding="utf-8"))))


def _too_long(
    rows: list[int], total: int, counts: TokenCounts, max_length: int, place: Callable[[int], str]
) -> DataError:
    share = counts.cut_tokens / max(1, counts.tokens)
    return DataError(
        Problem(
            "L12",
            place(rows[0]),
            f"{len(rows)} of {total} texts ({len(rows) / total:.1%}) are longer than {max_length} tokens "
            f"(longest: {counts.longest}); cutting them would lose {share:.1%} of all tokens",
            "raise train.max_length, or set train.truncation=true to cut them",
        )
    )
