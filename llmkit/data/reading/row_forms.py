"""Convert the rows of a source to the form that a task reads, and skip rows that an annotator rejected.

    source = convert_source(source, form)
    for line, row in source.read(errors, report_bytes): ...

A task that reads several forms names a function `recognize` (`tasks.protocol.TaskSpec`). It gets the first rows of a
split and returns their form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from llmkit.base.errors import DataError
from llmkit.data.reading.file_errors import FileErrors
from llmkit.data.reading.lines import ReportBytes, ignore_progress
from llmkit.data.reading.sources import Source

__all__ = ["RecognizeForm", "Row", "RowForm", "convert_source", "read_sample"]

SAMPLE_ROWS = 200  # rows that are inspected to recognize their form

Row = dict[str, Any]


@dataclass(frozen=True)
class RowForm:
    """A form of rows, and how they become rows that the task reads.

    Attributes:
        columns: The task's name of a column -> its name in the converted rows.
        convert: Called with a row, its line and the errors of its file; returns the converted row, or None to skip it.
        note: What the user should know about the form; "" for nothing.
    """

    columns: Mapping[str, str]
    convert: Callable[[Row, int, FileErrors], Row | None] | None = None
    note: str = ""


# Called with the first rows and the columns that the recipe names; None: the rows have the task's usual form.
RecognizeForm = Callable[[Sequence[Row], Mapping[str, str]], RowForm | None]


def read_sample(source: Source) -> list[Row]:
    """Return the first rows of a source. Errors are left to the reading of the whole source."""
    rows: list[Row] = []
    with suppress(DataError):
        rows += (row for _, row in islice(source.read(FileErrors(source.name), ignore_progress), SAMPLE_ROWS))
    return rows


def convert_source(source: Source, form: RowForm) -> Source:
    """Return the source with converted rows.

    Rows that Prodigy marks with another answer than "accept" are skipped; a note counts them.
    """

    def read(errors: FileErrors, report_bytes: ReportBytes) -> Iterator[tuple[int, Row]]:
        count = rejected = unannotated = 0
        for line, row in source.read(errors, report_bytes):
            if _is_rejected(row):
                rejected += 1
                continue
            converted = form.convert(row, line, errors) if form.convert else row
            if converted is None:
                unannotated += 1
                continue
            count += 1
            yield line, converted
        errors.raise_if_any()
        notes = []
        if rejected:
            notes.append(f'{_count(rejected)} skipped, whose "answer" is not "accept"')
        if unannotated:
            notes.append(f"{_count(unannotated)} skipped, without a finished annotation")
        if notes and not count:
            errors.fail("F03", f"no row is left ({', '.join(notes)})", "export rows that are annotated")
        errors.notes += [f"{errors.name}: {note}" for note in notes]

    return replace(source, read=read)


def _is_rejected(row: Row) -> bool:
    """Return whether an annotator rejected or ignored a row of Prodigy."""
    if row.get("answer") not in ("reject", "ignore"):
        return False
    return "_task_hash" in row or "_input_hash" in row or "spans" in row


def _count(rows: int) -> str:
    return f"{rows:,} row{'' if rows == 1 else 's'}"
