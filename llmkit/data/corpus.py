"""The rows of a run, part by part, each with the file and line it came from, and a fingerprint of the whole.

    corpus = read(recipe.data, columns={"text": "sentence", "label": "label"}, ...)
    corpus.splits["test"].place(8)   ->   "data/test.jsonl:9"

The fingerprint is of the content (rows in order, names of the parts), not of paths or dates: the same rows
give the same fingerprint from jsonl, csv or parquet, and any choice of rows made later changes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llmkit.base import files
from llmkit.base.errors import DataError, ErrorDetail, raise_if, some
from llmkit.base.progress import Progress
from llmkit.data.reading import arrow_cache, sources
from llmkit.data.reading.arrow_cache import Column
from llmkit.data.reading.file_errors import FileErrors
from llmkit.data.reading.lines import ignore_progress
from llmkit.data.reading.sources import SPLITS, ResolveHub, ResolveIndex, Source
from llmkit.data.reading.table_builder import ArrowTableBuilder, rename_columns
from llmkit.recipe.schema import Data

if TYPE_CHECKING:
    import mmap

    import datasets

__all__ = ["Corpus", "Split", "format_row_count", "read"]

LARGE = 64 << 20  # bytes of files from which progress is told


@dataclass(frozen=True)
class Split:
    """Rows of one part (train, validation or test) in file order, and where each came from."""

    rows: datasets.Dataset
    files: tuple[str, ...]
    file_index: NDArray[np.int32]  # (rows,), into files
    lines: NDArray[np.int64]  # (rows,), from 1; the row's number where a file has no lines
    mapped: mmap.mmap | None = None  # the file behind the rows, where they are too many for memory

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int) -> str:
        """`file:line` of a row."""
        return f"{self.files[self.file_index[row]]}:{self.lines[row]}"

    def select(self, indices: Sequence[int] | NDArray[np.int64]) -> Split:
        """These rows, in this order."""
        chosen = np.asarray(indices, np.int64)
        return replace(
            self,
            rows=self.rows.select(chosen),
            file_index=self.file_index[chosen],
            lines=self.lines[chosen],
        )

    def __getitem__(self, span: slice) -> dict[str, list[Any]]:
        """All columns of these rows."""
        found: dict[str, list[Any]] = self.rows[span]
        arrow_cache.release_pages(self.mapped)
        return found

    def column(self, name: str) -> Column:
        """All values of a column, which are not held in memory."""
        return Column(self.rows, name, self.mapped)

    @property
    def columns(self) -> Mapping[str, list[Any]]:
        """All columns by name, each read into memory when it is first asked for."""
        return _Columns(self)


class _Columns(Mapping[str, list[Any]]):
    def __init__(self, part: Split) -> None:
        self._part, self._names = part, tuple(part.rows.column_names)
        self._read: dict[str, list[Any]] = {}

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._read:
            self._read[name] = list(self._part.column(name))
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True)
class Corpus:
    """All parts of a run's data."""

    splits: dict[str, Split]
    fingerprint: str
    notes: tuple[str, ...] = ()

    def rearrange(self, chosen: Mapping[str, tuple[str, NDArray[np.int64]]]) -> Corpus:
        """New parts from rows of the present ones: new part -> (present part, rows). Parts not named stay.

        The fingerprint changes with the choice, so nothing made from other rows is taken for this.
        """
        parts = self.splits | {new: self.splits[old].select(rows) for new, (old, rows) in chosen.items()}
        digest = hashlib.sha256(self.fingerprint.encode())
        for new, (old, rows) in sorted(chosen.items()):
            digest.update(f"\n{new} {old} {len(rows)}\n".encode() + rows.astype("<i8").tobytes())
        ordered = {part: parts[part] for part in SPLITS if part in parts}
        return Corpus(ordered, digest.hexdigest() if chosen else self.fingerprint, self.notes)

    def with_notes(self, *notes: str) -> Corpus:
        """The same with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def drop_rows(self, dropped: Mapping[str, NDArray[np.bool_]]) -> Corpus:
        """The corpus without the rows where the mask is true: part -> mask, shape (rows,)."""
        return self.rearrange(
            {part: (part, np.flatnonzero(~mask)) for part, mask in dropped.items() if mask.any()}
        )


def format_row_count(rows: int) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{rows:,} row{'' if rows == 1 else 's'}"


def read(
    data: Data,
    *,
    columns: Mapping[str, str],
    progress: Progress,
    resolve_index: ResolveIndex,
    resolve_hub: ResolveHub,
) -> Corpus:
    """Read all that the recipe names, and nothing else.

    columns: the task's name of a column -> its name in the files; the rows have the task's names, and keep
    the columns that the task does not use. resolve_index(NAME) gives the file behind `index:NAME`,
    resolve_hub(ID) the splits of a Hub set. Raises DataError with all problems of all files: F01-F10,
    J01-J11, L01.
    """
    found, notes = sources.find_sources(
        data, progress=progress, resolve_index=resolve_index, resolve_hub=resolve_hub
    )
    meter = _Meter(progress, sum(source.size for part in found.values() for source in part))
    problems: list[ErrorDetail] = []
    gathered = {part: _gather(of_part, columns, meter, problems, notes) for part, of_part in found.items()}
    for part, builder in gathered.items():
        notes += [f"{part}: {note}" for note in builder.finish()]
        notes.append(f"{part}: {format_row_count(len(builder.lines))} from {some(builder.files)}")
        problems += builder.problems
    raise_if(problems, DataError)
    parts = {part: _part(builder, found[part], columns, progress) for part, builder in gathered.items()}
    digests = {part: builder.digest() for part, builder in gathered.items()}
    fingerprint = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
    return Corpus(parts, fingerprint, tuple(notes))


class _Meter:
    """Bytes read over all files, told when they are many."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._before = progress, total, 0

    def moved(self, position: int) -> None:
        if self._total >= LARGE:
            self._progress.advance("reading data", self._before + position, self._total, "bytes")

    def end(self, size: int) -> None:
        self._before += size
        self.moved(0)


def _gather(
    of_part: Sequence[Source],
    columns: Mapping[str, str],
    meter: _Meter,
    problems: list[ErrorDetail],
    notes: list[str],
) -> ArrowTableBuilder:
    """Read the sources of one part; a faulty one does not keep the others from being checked."""
    builder = ArrowTableBuilder(columns)
    for source in of_part:
        errors = FileErrors(source.name)
        builder.begin(source.name)
        try:
            for line, row in source.read(errors, meter.moved):
                builder.add(line, row)
            builder.end()
        except DataError as error:
            problems += error.details
        notes += errors.notes
        meter.end(source.size)
    return builder


def _part(
    builder: ArrowTableBuilder, of_part: Sequence[Source], columns: Mapping[str, str], progress: Progress
) -> Split:
    import datasets

    if builder.in_memory:
        table, mapped = builder.table(), None
    else:
        path = files.cache_folder() / "datasets" / f"{builder.digest()}.arrow"
        arrow_cache.write_table(path, builder.schema(), _again(builder, of_part, columns, progress))
        table, mapped = arrow_cache.open_table(path)
    rows = datasets.Dataset(table, fingerprint=builder.digest()[:16])
    return Split(rows, tuple(builder.files), *builder.places(), mapped)


def _again(
    builder: ArrowTableBuilder, of_part: Sequence[Source], columns: Mapping[str, str], progress: Progress
) -> Iterator[dict[str, Any]]:
    """The rows, read a second time."""
    names, total, done = builder.schema().names, len(builder.lines), 0
    for source in of_part:
        for _, row in source.read(FileErrors(source.name), ignore_progress):
            own = rename_columns(row, columns)
            yield {name: own.get(name) for name in names}
            done += 1
            if done % 10_000 == 0 or done == total:
                progress.advance("storing data", done, total, "rows")
