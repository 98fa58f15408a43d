"""Encoded examples: token ids in ragged arrays, and counts of what tokenization kept and truncated.

An example that is too long for one model input becomes several windows. All columns are stored by window, and
`Encoded.examples` gives the example of each window.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["Collect", "Encoded", "Features", "Limit", "Ragged", "TokenCounts"]


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths in one array: row i is flat[offsets[i]:offsets[i + 1]]."""

    flat: NDArray[np.int32]
    offsets: NDArray[np.int64]

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        return self.flat[self.offsets[row] : self.offsets[row + 1]]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The length of each row, shape (rows,)."""
        return np.diff(self.offsets)

    @staticmethod
    def from_rows(rows: Sequence[Sequence[int]]) -> Ragged:
        """Copy rows of numbers into one array."""
        return Ragged._build([np.asarray(row, np.int32) for row in rows], [len(row) for row in rows])

    @staticmethod
    def concatenate(arrays: Sequence[Ragged]) -> Ragged:
        """Put the rows of several ragged arrays one after the other."""
        lengths = np.concatenate([array.lengths for array in arrays])
        return Ragged._build([array.flat for array in arrays], lengths)

    @staticmethod
    def _build(flats: Sequence[NDArray[np.int32]], lengths: Sequence[int] | NDArray[np.int64]) -> Ragged:
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return Ragged(np.concatenate([np.empty(0, np.int32), *flats]), offsets)


@dataclass(frozen=True)
class TokenCounts:
    """Numbers of tokens and examples that tokenization kept and truncated."""

    tokens: int = 0  # kept, including special tokens
    cut_tokens: int = 0
    cut_examples: int = 0
    unknown_tokens: int = 0
    longest: int = 0  # tokens of the longest example, before truncation

    def __add__(self, other: TokenCounts) -> TokenCounts:
        return TokenCounts(
            self.tokens + other.tokens,
            self.cut_tokens + other.cut_tokens,
            self.cut_examples + other.cut_examples,
            self.unknown_tokens + other.unknown_tokens,
            max(self.longest, other.longest),
        )


@dataclass(frozen=True)
class Limit:
    """The largest allowed number of tokens.

    Attributes:
        what: What is limited, as a plural noun for the error message, such as "prompts".
        tokens: The largest allowed number of tokens of each.
        key: The recipe key that raises the limit.
    """

    what: str
    tokens: int
    key: str = "train.max_length"


@dataclass(frozen=True)
class Features:
    """What a task encodes a batch of rows into: ragged columns by window.

    Attributes:
        columns: Columns for the model and the loss; `input_ids` is always there.
        counts: What tokenization kept and truncated.
        too_long: Rows that exceed the limit; filled only when truncation is not allowed.
        limit: The limit that these rows exceed; None stands for whole texts and train.max_length.
        decode_columns: Columns that only the decoding of predictions needs, such as character offsets.
        rows: The row of each window; None when each row is one window.
        notes: Description of something done to rows -> number of rows.
        lost_answers: Rows with an answer that does not fit whole into any window.
    """

    columns: Mapping[str, Sequence[Sequence[int]]]
    counts: TokenCounts
    too_long: tuple[int, ...] = ()
    limit: Limit | None = None
    decode_columns: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)
    rows: Sequence[int] | None = None
    notes: Mapping[str, int] = field(default_factory=dict)
    lost_answers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Encoded:
    """All windows of a split, ready for the collator.

    Attributes:
        ragged: Columns for the model and the loss. `input_ids` is always there; `targets` holds texts to generate, and
            `rejected` the rejected answers of preference pairs.
        counts: What tokenization kept and truncated.
        examples: The example of each window, ascending, shape (windows,).
        decode_columns: Columns that only the decoding of predictions needs.
        notes: Description of something done to examples -> number of examples.
    """

    ragged: dict[str, Ragged]
    counts: TokenCounts
    examples: NDArray[np.int64]
    decode_columns: dict[str, Ragged] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens that the model processes for each window, inputs and targets together, shape (windows,).

        The prompt of a preference pair counts twice, because the model reads it with each of the two answers.
        """
        names = [name for name in ("input_ids", "targets", "rejected") if name in self.ragged]
        if "rejected" in names:
            names.append("input_ids")
        return sum((self.ragged[name].lengths for name in names), np.zeros(len(self), np.int64))

    def __len__(self) -> int:
        return len(self.ragged["input_ids"])

    @staticmethod
    def from_features(first: int, features: Features) -> Encoded:
        """Pack the features of one batch, whose first row is example number `first`."""
        windows = len(features.columns["input_ids"])
        rows = np.arange(windows) if features.rows is None else np.asarray(features.rows, np.int64)
        return Encoded(
            ragged={name: Ragged.from_rows(column) for name, column in features.columns.items()},
            counts=features.counts,
            examples=first + rows,
            decode_columns={
                name: Ragged.from_rows(column) for name, column in features.decode_columns.items()
            },
            notes=features.notes,
        )

    @staticmethod
    def from_batches(batches: Iterable[tuple[int, Features]]) -> Encoded:
        """Concatenate batches, each given as the number of its first row and its features.

        Each batch is packed when it arrives, because numbers in Python lists take ten times the memory.
        """
        packed = [Encoded.from_features(first, features) for first, features in batches]
        return Encoded(
            ragged={
                name: Ragged.concatenate([batch.ragged[name] for batch in packed])
                for name in packed[0].ragged
            },
            counts=sum((batch.counts for batch in packed), TokenCounts()),
            examples=np.concatenate([batch.examples for batch in packed]),
            decode_columns={
                name: Ragged.concatenate([batch.decode_columns[name] for batch in packed])
                for name in packed[0].decode_columns
            },
            notes=dict(sum((Counter(batch.notes) for batch in packed), Counter())),
        )


Collect = Callable[[Iterable[tuple[int, Features]]], Encoded]  # the signature of Encoded.from_batches
