"""Read the data of a run: the rows of each split with their file and line, and a fingerprint of the whole.

    corpus = read(recipe.data, columns={"text": "sentence", "label": "label"}, ...)
    corpus.splits["test"].place(8)   ->   "data/test.jsonl:9"

The fingerprint depends on the content (the rows in order and the names of the splits), not on paths or dates. The same
rows have the same fingerprint in jsonl, csv and parquet, and selecting other rows changes it.
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
from llmkit.base.errors import DataError, ErrorDetail, raise_if, shorten_list
from llmkit.base.progress import Progress
from llmkit.data.reading import arrow_cache
from llmkit.data.reading.arrow_cache import Column
from llmkit.data.reading.file_errors import FileErrors
from llmkit.data.reading.lines import ignore_progress
from llmkit.data.reading.row_forms import RecognizeForm, RowForm, convert_source, read_sample
from llmkit.data.reading.sources import SPLITS, ResolveHub, ResolveIndex, Source, find_sources
from llmkit.data.reading.table_builder import ArrowTableBuilder, rename_columns
from llmkit.recipe.schema import Data

if TYPE_CHECKING:
    import mmap

    import datasets

__all__ = ["Corpus", "Split", "format_row_count", "read"]

PROGRESS_BYTES = 64 << 20  # total bytes of files from which reading them reports progress


@dataclass(frozen=True)
class Split:
    """The rows of one split (train, validation or test) in file order.

    Attributes:
        rows: The rows, with the task's column names.
        files: The names of the files as the user wrote them.
        file_index: The index into `files` of each row, shape (rows,).
        lines: The line number of each row from 1, shape (rows,); the row number for files without lines.
        mapped: The memory-mapped file behind the rows, or None when they are in memory.
    """

    rows: datasets.Dataset
    files: tuple[str, ...]
    file_index: NDArray[np.int32]
    lines: NDArray[np.int64]
    mapped: mmap.mmap | None = None

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int) -> str:
        """Return the `file:line` of a row."""
        return f"{self.files[self.file_index[row]]}:{self.lines[row]}"

    def select(self, indices: Sequence[int] | NDArray[np.int64]) -> Split:
        """Return the rows with these indices, in this order."""
        selected = np.asarray(indices, np.int64)
        return replace(
            self,
            rows=self.rows.select(selected),
            file_index=self.file_index[selected],
            lines=self.lines[selected],
        )

    def __getitem__(self, span: slice) -> dict[str, list[Any]]:
        """Return all columns of a range of rows."""
        columns: dict[str, list[Any]] = self.rows[span]
        arrow_cache.release_pages(self.mapped)
        return columns

    def column(self, name: str) -> Column:
        """Return the values of a column without reading all of them into memory."""
        return Column(self.rows, name, self.mapped)

    @property
    def columns(self) -> Mapping[str, list[Any]]:
        """All columns by name. Each column is read into memory on first access."""
        return _LazyColumns(self)


class _LazyColumns(Mapping[str, list[Any]]):
    """The columns of a split by name, each read into memory on first access."""

    def __init__(self, split: Split) -> None:
        self._split, self._names = split, tuple(split.rows.column_names)
        self._read: dict[str, list[Any]] = {}

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._read:
            self._read[name] = list(self._split.column(name))
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True)
class Corpus:
    """All splits of a run's data.

    Attributes:
        splits: The splits by name, in the order train, validation, test.
        fingerprint: A SHA-256 of the content.
        notes: What the user should know about the data, such as the number of rows of each split.
    """

    splits: dict[str, Split]
    fingerprint: str
    notes: tuple[str, ...] = ()

    def rearrange(self, selections: Mapping[str, tuple[str, NDArray[np.int64]]]) -> Corpus:
        """Build new splits from rows of the present ones; splits that are not named stay.

        The fingerprint changes with the selection, so results cached for other rows are not used.

        Args:
            selections: new split -> (present split, indices of its rows).
        """
        splits = self.splits | {new: self.splits[old].select(rows) for new, (old, rows) in selections.items()}
        digest = hashlib.sha256(self.fingerprint.encode())
        for new, (old, rows) in sorted(selections.items()):
            digest.update(f"\n{new} {old} {len(rows)}\n".encode() + rows.astype("<i8").tobytes())
        ordered = {name: splits[name] for name in SPLITS if name in splits}
        return Corpus(ordered, digest.hexdigest() if selections else self.fingerprint, self.notes)

    def with_notes(self, *notes: str) -> Corpus:
        """Return the same corpus with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def drop_rows(self, masks: Mapping[str, NDArray[np.bool_]]) -> Corpus:
        """Return the corpus without the rows where a mask is true; masks: split -> (rows,)."""
        return self.rearrange(
            {name: (name, np.flatnonzero(~mask)) for name, mask in masks.items() if mask.any()}
        )


def format_row_count(rows: int) -> str:
    """Format a number of rows for a message: `1 row`, `1,200 rows`."""
    return f"{rows:,} row{'' if rows == 1 else 's'}"


def read(
    data: Data,
    *,
    columns: Mapping[str, str],
    progress: Progress,
    resolve_index: ResolveIndex,
    resolve_hub: ResolveHub,
    recognize: RecognizeForm | None = None,
) -> Corpus:
    """Read all data that the recipe names.

    Args:
        data: The recipe section with the files and how to read them.
        columns: The task's name of a column -> its name in the files. The rows get the task's names and keep the
            columns that the task does not use.
        progress: Receives the progress of reading and storing large files.
        resolve_index: Returns the file behind `index:NAME`.
        resolve_hub: Returns the splits of a Hub data set.
        recognize: Recognizes other forms of rows, which are converted. The first file of a split decides.

    Raises:
        DataError: F01 to F10, J01 to J11, L01, N04: all errors of all files at once. L04 and N05 for rows that can't
            be converted.
    """
    sources, notes = find_sources(
        data, progress=progress, resolve_index=resolve_index, resolve_hub=resolve_hub
    )
    meter = _ByteMeter(progress, sum(source.size for of_split in sources.values() for source in of_split))
    errors: list[ErrorDetail] = []
    forms = {}
    for split, of_split in sources.items():
        form = recognize(read_sample(of_split[0]), data.columns) if recognize else None
        forms[split] = form or RowForm(columns)
        sources[split] = [convert_source(source, forms[split]) for source in of_split]
    notes += [
        f"{shorten_list(split for split in forms if forms[split].note == note)}: {note}"
        for note in dict.fromkeys(form.note for form in forms.values() if form.note)
    ]
    builders = {
        split: _read_sources(of_split, forms[split].columns, meter, errors, notes)
        for split, of_split in sources.items()
    }
    for split, builder in builders.items():
        notes += [f"{split}: {note}" for note in builder.finish()]
        notes.append(f"{split}: {format_row_count(len(builder.lines))} from {shorten_list(builder.files)}")
        errors += builder.errors
    raise_if(errors, DataError)
    splits = {
        split: _make_split(builder, sources[split], forms[split].columns, progress)
        for split, builder in builders.items()
    }
    digests = {split: builder.digest() for split, builder in builders.items()}
    fingerprint = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
    return Corpus(splits, fingerprint, tuple(notes))


class _ByteMeter:
    """Reports the bytes read over all files, when there are at least PROGRESS_BYTES."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._finished = progress, total, 0

    def report(self, position: int) -> None:
        """Report the position in the current file."""
        if self._total >= PROGRESS_BYTES:
            self._progress.advance("reading data", self._finished + position, self._total, "bytes")

    def finish_file(self, size: int) -> None:
        self._finished += size
        self.report(0)


def _read_sources(
    sources: Sequence[Source],
    columns: Mapping[str, str],
    meter: _ByteMeter,
    errors: list[ErrorDetail],
    notes: list[str],
) -> ArrowTableBuilder:
    """Read the sources of one split. A source with errors does not keep the others from being checked."""
    builder = ArrowTableBuilder(columns)
    for source in sources:
        file_errors = FileErrors(source.name)
        builder.begin_file(source.name)
        try:
            for line, row in source.read(file_errors, meter.report):
                builder.add(line, row)
            builder.end_file()
        except DataError as error:
            errors += error.details
        notes += file_errors.notes
        meter.finish_file(source.size)
    return builder


def _make_split(
    builder: ArrowTableBuilder, sources: Sequence[Source], columns: Mapping[str, str], progress: Progress
) -> Split:
    """Make a split of the rows in memory; when they are too many, of an Arrow file in the cache."""
    import datasets

    def read_again() -> Iterator[dict[str, Any]]:
        """Read the rows a second time and yield them with the columns that are kept."""
        names, total, done = builder.schema().names, len(builder.lines), 0
        for source in sources:
            for _, row in source.read(FileErrors(source.name), ignore_progress):
                renamed = rename_columns(row, columns)
                yield {name: renamed.get(name) for name in names}
                done += 1
                if done % 10_000 == 0 or done == total:
                    progress.advance("storing data", done, total, "rows")

    if builder.in_memory:
        table, mapped = builder.table(), None
    else:
        path = files.get_cache_folder() / "datasets" / f"{builder.digest()}.arrow"
        arrow_cache.write_table(path, builder.schema(), read_again())
        table, mapped = arrow_cache.open_table(path)
    rows = datasets.Dataset(table, fingerprint=builder.digest()[:16])
    return Split(rows, tuple(builder.files), *builder.places(), mapped)
