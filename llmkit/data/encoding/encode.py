"""Rows to token ids: once, in batches, cut only when the recipe says so, every cut counted, kept by fingerprint.

The ids of all examples lie in one flat array with offsets (a ragged column), memory-mapped from the cache, so a run
starts at once the second time and the collator only slices. An example that is too long for one input is several
windows; everything here goes by window, and `Encoded.examples` tells whose window it is.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from llmkit.base import files
from llmkit.base.errors import DataError, some
from llmkit.base.progress import Progress

__all__ = [
    "LOST",
    "Collect",
    "Encoded",
    "Features",
    "Ragged",
    "TokenCounts",
    "cached",
    "count_tokens",
    "encode",
    "texts_to_ids",
    "tokenizer_digest",
]

BATCH = 1000  # rows in one tokenizer call
FORMAT = 3  # of the cache's files; raised with every change of what examples look like
LOST = "answers that no window holds whole"


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
        return Ragged._of([np.asarray(row, np.int32) for row in rows], [len(row) for row in rows])

    @staticmethod
    def joined(parts: Sequence[Ragged]) -> Ragged:
        """The rows of all parts, one after the other."""
        return Ragged._of([part.flat for part in parts], np.concatenate([part.lengths for part in parts]))

    @staticmethod
    def _of(flats: Sequence[NDArray[np.int32]], lengths: Sequence[int] | NDArray[np.int64]) -> Ragged:
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return Ragged(np.concatenate([np.empty(0, np.int32), *flats]), offsets)


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
    """What a task makes of some rows: ragged columns by window, and the row numbers that were too long."""

    columns: Mapping[str, Sequence[Sequence[int]]]  # for the model and the loss
    counts: TokenCounts
    too_long: tuple[int, ...] = ()  # only where nothing may be cut
    most: tuple[str, int] | None = (
        None  # what is too long, and the tokens it may have; None: texts, max_length
    )
    aside: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)  # for `Task.answers`
    rows: Sequence[int] | None = None  # of each window; None: one window a row
    notes: Mapping[str, int] = field(default_factory=dict)  # what was done -> how often
    lost: tuple[int, ...] = ()  # rows whose answer no window holds whole
    setting: str = "train.max_length"  # what to raise for those that are too long


@dataclass(frozen=True)
class Encoded:
    """Windows ready for the collator; `input_ids` is always there, `targets` where texts are to be written,
    `rejected` where they have others to be told from."""

    ragged: dict[str, Ragged]
    counts: TokenCounts
    examples: NDArray[np.int64]  # (windows,), the example of each, ascending
    aside: dict[str, Ragged] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens that a model computes for each window: those it reads, and those it is to write.

        Of a pair of answers the prompt is read twice.
        """
        names = [name for name in ("input_ids", "targets", "rejected") if name in self.ragged]
        if "rejected" in names:
            names.append("input_ids")
        return sum((self.ragged[name].lengths for name in names), np.zeros(len(self), np.int64))

    def __len__(self) -> int:
        return len(self.ragged["input_ids"])

    @staticmethod
    def of(batches: Iterable[tuple[int, Features]]) -> Encoded:
        """From (number of the first row, features) of each batch of rows, in order.

        Each is packed as it comes: numbers in Python lists take ten times the memory.
        """
        parts = [_packed(first, features) for first, features in batches]
        return Encoded(
            ragged={name: Ragged.joined([p.ragged[name] for p in parts]) for name in parts[0].ragged},
            counts=sum((part.counts for part in parts), TokenCounts()),
            examples=np.concatenate([part.examples for part in parts]),
            aside={name: Ragged.joined([p.aside[name] for p in parts]) for name in parts[0].aside},
            notes=dict(sum((Counter(part.notes) for part in parts), Counter())),
        )


Collect = Callable[[Iterable[tuple[int, Features]]], Encoded]  # as Encoded.of


def _packed(first: int, features: Features) -> Encoded:
    return Encoded(
        ragged={name: Ragged.of(rows) for name, rows in features.columns.items()},
        counts=features.counts,
        examples=first + _rows(features),
        aside={name: Ragged.of(rows) for name, rows in features.aside.items()},
        notes=features.notes,
    )


def _rows(features: Features) -> NDArray[np.int64]:
    windows = len(features.columns["input_ids"])
    return np.arange(windows) if features.rows is None else np.asarray(features.rows, np.int64)


def encode(
    rows: Any,
    to_features: Callable[[Mapping[str, list[Any]], slice], Features],
    *,
    place: Callable[[int], str],
    max_length: int,
    progress: Progress,
    what: str,
    collect: Collect = Encoded.of,
) -> Encoded:
    """Tokenize rows, a Split or a datasets.Dataset, batch by batch; to_features gets some and where they stand.

    Raises DataError L12 when examples are longer than max_length and the recipe does not allow to cut them, Q06 when
    the answer to a training question stands whole in no window.
    """
    too_long: list[int] = []
    lost: list[int] = []
    most, setting = ("texts", max_length), "train.max_length"

    def batches() -> Iterator[tuple[int, Features]]:
        nonlocal most, setting
        for first in range(0, len(rows), BATCH):
            span = slice(first, min(first + BATCH, len(rows)))
            features = to_features(rows[span], span)
            too_long.extend(first + row for row in features.too_long)
            lost.extend(first + row for row in features.lost)
            if features.too_long and len(too_long) == len(features.too_long):  # the first ones
                most, setting = features.most or most, features.setting
            yield first, features
            progress.advance(f"tokenizing {what}", span.stop, len(rows), "rows")

    encoded = collect(batches())
    if too_long:
        raise _too_long(too_long, len(rows), encoded.counts, most, setting, place)
    if lost and what == "train":
        raise _lost(lost, place)
    return replace(encoded, notes={**encoded.notes, LOST: len(lost)}) if lost else encoded


def texts_to_ids(
    tokenizer: Any,
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    *,
    max_length: int,
    truncation: bool,
) -> Features:
    """Token ids with special tokens, of texts or of pairs of texts as one input.

    What is longer than max_length is cut (of a pair, the longer text first), or only named when truncation is off.
    """
    texts, pairs = list(texts), None if pairs is None else _apart(tokenizer, pairs)
    wanted = {"return_attention_mask": False, "verbose": False}
    found = tokenizer(texts, pairs, **wanted)
    columns = {name: found[name] for name in _columns(tokenizer, pairs is not None)}
    full = [len(row) for row in columns["input_ids"]]
    long = [number for number, length in enumerate(full) if length > max_length]
    if long and truncation:
        some = [texts[number] for number in long], pairs and [pairs[number] for number in long]
        cut = tokenizer(*some, truncation="longest_first", max_length=max_length, **wanted)
        for name, column in columns.items():
            for number, row in zip(long, cut[name], strict=True):
                column[number] = row
    counts = count_tokens(tokenizer, columns["input_ids"], full, max_length)
    return Features(columns, counts, () if truncation else tuple(long))


def count_tokens(
    tokenizer: Any, ids: Sequence[Sequence[int]], full: Sequence[int], max_length: int
) -> TokenCounts:
    """What became of texts of `full` tokens each."""
    unknown = tokenizer.unk_token_id
    return TokenCounts(
        tokens=sum(map(len, ids)),
        cut_tokens=sum(max(0, length - max_length) for length in full),
        cut_examples=sum(length > max_length for length in full),
        unknown_tokens=0 if unknown is None else sum(list(row).count(unknown) for row in ids),
        longest=max(full, default=0),
    )


def _columns(tokenizer: Any, pair: bool) -> tuple[str, ...]:
    """token_type_ids tell the texts of a pair apart; of a single text they are all 0, which models assume."""
    types = pair and "token_type_ids" in tokenizer.model_input_names
    return ("input_ids", "token_type_ids") if types else ("input_ids",)


def _apart(tokenizer: Any, pairs: Sequence[str]) -> list[str]:
    """The second texts; on a new line where the tokenizer puts nothing between two texts (GPT type)."""
    separated = tokenizer.num_special_tokens_to_add(pair=True) > tokenizer.num_special_tokens_to_add(
        pair=False
    )
    return list(pairs) if separated else ["\n" + text for text in pairs]


def tokenizer_digest(tokenizer: Any) -> str:
    """What the ids depend on: the fast tokenizer's whole definition, without what the last call left in it, and which
    tokens it takes for the start, the end and so on. Of one in Python (Marian's) only its vocabulary and settings
    can be told.
    """
    if not tokenizer.is_fast:
        known = [type(tokenizer).__name__, sorted(tokenizer.get_vocab().items()), repr(tokenizer)]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    special = json.dumps(tokenizer.special_tokens_map, sort_keys=True, default=str)
    return hashlib.sha256(f"{backend.to_str()}\n{special}".encode()).hexdigest()


def cached(make: Callable[[Collect], Encoded], **identity: Any) -> Encoded:
    """The examples of this identity from the cache; made once, under a lock, if they are not there.

    make: makes them, and has them collected by what it is given, straight into files. All processes of this machine may
    ask at the same time: one tokenizes, the others wait and then map the same pages.
    """
    named = json.dumps({"format": FORMAT, **identity}, sort_keys=True)
    digest = hashlib.sha256(named.encode()).hexdigest()[:32]
    folder = files.cache_folder() / "encoded" / digest
    with files.lock(folder.with_suffix(".lock")):
        if not (folder / files.MANIFEST).exists():
            with files.staged_folder(folder) as staged:
                made = make(lambda batches: _written(staged, batches))
                about = {"counts": asdict(made.counts), "notes": made.notes}
                files.write_json(staged / "about.json", about)
    return _open(folder, json.loads((folder / "about.json").read_text(encoding="utf-8")))


def _written(folder: Path, batches: Iterable[tuple[int, Features]]) -> Encoded:
    """As `Encoded.of`, but in files, so that no more than a batch is in memory at a time."""
    counts, notes = TokenCounts(), Counter[str]()
    with ExitStack() as stack:
        growing = _Growing(folder, stack)
        for first, features in batches:
            part = _packed(first, features)
            for kind, columns in (("ragged", part.ragged), ("aside", part.aside)):
                for name, column in columns.items():
                    growing.add_rows(f"{name}.{kind}", column)
            growing.add("examples", part.examples)
            counts, notes = counts + part.counts, notes + Counter(part.notes)
        growing.end()
    return _open(folder, {"counts": asdict(counts), "notes": dict(notes)})


class _Growing:
    """Arrays as plain numbers in files of their names; the stack closes them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._files: dict[str, BinaryIO] = {}
        self._ends: dict[str, int] = {}  # of the flat arrays

    def add(self, name: str, values: NDArray[Any]) -> None:
        if name not in self._files:
            self._files[name] = self._stack.enter_context((self._folder / name).open("wb"))
        self._files[name].write(values.tobytes())

    def add_rows(self, name: str, rows: Ragged) -> None:
        end = self._ends.get(name, 0)
        self.add(f"{name}.flat", rows.flat)
        self.add(f"{name}.offsets", end + rows.offsets[:-1])
        self._ends[name] = end + len(rows.flat)

    def end(self) -> None:
        """An offset more than there are rows."""
        for name, end in self._ends.items():
            self.add(f"{name}.offsets", np.array([end], np.int64))


def _open(folder: Path, about: Mapping[str, Any]) -> Encoded:
    return Encoded(
        ragged=_open_columns(folder, "ragged"),
        counts=TokenCounts(**about["counts"]),
        examples=_mapped(folder / "examples", np.int64),
        aside=_open_columns(folder, "aside"),
        notes=about["notes"],
    )


def _open_columns(folder: Path, kind: str) -> dict[str, Ragged]:
    end = f".{kind}.flat"
    names = sorted(path.name.removesuffix(end) for path in folder.glob(f"*{end}"))
    return {
        name: Ragged(
            _mapped(folder / f"{name}{end}", np.int32),
            _mapped(folder / f"{name}.{kind}.offsets", np.int64),
        )
        for name in names
    }


def _mapped(path: Path, kind: type) -> NDArray[Any]:
    """Numpy can't map an empty file."""
    return np.memmap(path, kind, mode="r") if path.stat().st_size else np.empty(0, kind)


def _too_long(
    rows: list[int],
    total: int,
    counts: TokenCounts,
    most: tuple[str, int],
    setting: str,
    place: Callable[[int], str],
) -> DataError:
    share = counts.cut_tokens / max(1, counts.tokens)
    what, length = most
    return DataError(
        "L12",
        place(rows[0]),
        f"{len(rows)} of {total} {what} ({len(rows) / total:.1%}) are longer than {length} tokens "
        f"(longest: {counts.longest}); cutting them would lose {share:.1%} of all tokens",
        f"raise {setting}, or set train.truncation=true to cut them",
    )


def _lost(rows: list[int], place: Callable[[int], str]) -> DataError:
    also = f", also at {some(place(row) for row in rows[1:])}" if len(rows) > 1 else ""
    return DataError(
        "Q06",
        place(rows[0]),
        f"no window holds this answer whole, so nothing could be learned from it{also}",
        "raise train.max_length (or task.stride, up to a third of it), or set train.truncation=true to go on",
    )
