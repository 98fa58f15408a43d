"""Read files of predictions and references, and find the rows that belong together.

    predictions, *references = pair_rows(read_table("hyp.jsonl"), [read_table("ref.jsonl")])

Rows are paired by their ids if all files have an id column, otherwise by their order. No row is left out: a row without
a counterpart is an error. The suffix determines how a file is read; any unknown suffix (hyp.en, system.out) means plain
text with one example per line, including blank lines.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llmkit.base.errors import DataError, ErrorDetail, shorten_list, suggest
from llmkit.data.reading.file_errors import FileErrors
from llmkit.data.reading.readers import PLAIN_TEXT, data_suffix, read_rows
from llmkit.recipe.schema import Data

__all__ = ["Table", "pair_rows", "read_table"]

ID = "id"  # the default name of the id column
RECIPE_FIX = re.compile(
    r"set data\.\S+, or |, or (set|raise) data\..*"
)  # there is no recipe that the user could change

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Table:
    """The rows of a file (at least one) in order.

    Attributes:
        name: The path as the user wrote it.
        lines: The line number of each row; in parquet the row number.
        rows: The rows.
        notes: What the user should know about the file.
    """

    name: str
    lines: Sequence[int]
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    @property
    def columns(self) -> list[str]:
        """The column names of the first row."""
        return list(self.rows[0])

    def place(self, number: int) -> str:
        """Return the `file:line` of a row."""
        return f"{self.name}:{self.lines[number]}"

    def values(self, column: str) -> list[Any]:
        """Return the values of a column. Raises DataError E07 for a row without a value."""
        for number, row in enumerate(self.rows):
            if row.get(column) is None:
                message = f'the value of "{column}" is missing or null'
                raise DataError("E07", self.place(number), message, "write a value in each row")
        return [row[column] for row in self.rows]

    def reorder(self, order: Sequence[int]) -> Table:
        """Return the rows with these numbers, in this order."""
        return Table(self.name, [self.lines[n] for n in order], [self.rows[n] for n in order])


def read_table(name: str, *, named_columns: Collection[str] = ()) -> Table:
    """Read all rows of a file.

    Args:
        name: The path as the user wrote it.
        named_columns: The columns that the user names. A CoNLL row contains columns by number only when they are named.

    Raises:
        DataError: F01 to F10, J01 to J05, J07 to J11, N04. Errors with the same code are merged into one.
    """
    path, errors = Path(name), FileErrors(name)
    if path.is_dir():
        errors.fail("F02", "this is a folder", "name a file")
    if not path.exists():
        siblings = [sibling.name for sibling in path.parent.iterdir()] if path.parent.is_dir() else []
        errors.fail("F01", f"no such file{suggest(path.name, siblings)}", "correct the path")
    data = Data(columns={column: column for column in named_columns})
    try:
        numbered = list(read_rows(path, data, errors, default_suffix=PLAIN_TEXT, by_id=True))
    except DataError as error:
        raise DataError.of(_merge_by_code(error.details)) from None
    if (data_suffix(path.name) or PLAIN_TEXT) == PLAIN_TEXT:
        numbered = [(line, {"text": row["text"].removesuffix("\n")}) for line, row in numbered]
    lines, rows = zip(*numbered)
    return Table(name, lines, rows, errors.notes)


def pair_rows(predictions: Table, references: Sequence[Table], id_column: str | None = None) -> list[Table]:
    """Bring predictions and references into the same order, that of the first references.

    Args:
        predictions: The predictions.
        references: One or more files of references.
        id_column: The column with the ids; None for "id", which need not exist.

    Returns:
        The predictions, followed by the references.

    Raises:
        DataError: E04 when the numbers of rows differ, E05 for an id that is not in all files, E06 for a repeated id,
            E07 when `id_column` or an id is missing.
    """
    tables = [predictions, *references]
    if id_column:
        for table in tables:
            if id_column not in table.columns:
                message = f'there is no column "{id_column}"{suggest(id_column, table.columns)}'
                raise DataError("E07", table.name, message, f"choose from {shorten_list(table.columns, 20)}")
    column = id_column or ID
    if all(table.rows[0].get(column) is not None for table in tables):
        rows_by_id = [_number_ids(table, column) for table in tables]
        order = list(rows_by_id[1])
        for table, rows in zip(tables, rows_by_id):
            only_here = [name for name in rows if name not in rows_by_id[1]]
            only_there = [name for name in order if name not in rows]
            differences = [f"{_format_ids(only_here)} only in this file"] if only_here else []
            differences += [f"{_format_ids(only_there)} only in {references[0].name}"] if only_there else []
            if differences:
                fix = "write the same examples to both files"
                raise DataError("E05", table.name, "; ".join(differences), fix)
        return [table.reorder([rows[name] for name in order]) for table, rows in zip(tables, rows_by_id)]
    for table in references:
        counts = len(predictions.rows), len(table.rows)
        if counts[0] != counts[1]:
            ours, theirs = (f"{count:,} example{'' if count == 1 else 's'}" for count in counts)
            message = f"the file has {ours}, but {table.name} has {theirs}"
            fix = "write the same examples in the same order to both files, or give every row an id"
            raise DataError("E04", predictions.name, message, fix)
    return tables


def _merge_by_code(details: Sequence[ErrorDetail]) -> list[ErrorDetail]:
    """Merge the errors of each code into the first of them, with a count.

    Predictions are written by a program, which makes the same error in every row. Hints at recipe keys are removed.
    """
    by_code: dict[str, list[ErrorDetail]] = {}
    for detail in details:
        by_code.setdefault(detail.code, []).append(detail)
    return [
        replace(
            first,
            message=f"{first.message} (and {len(others):,} more)" if others else first.message,
            fix=RECIPE_FIX.sub("", first.fix),
        )
        for first, *others in by_code.values()
    ]


def _number_ids(table: Table, column: str) -> dict[str, int]:
    """Map each id to its row number; the number 7 and the string "7" are the same id."""
    numbers: dict[str, int] = {}
    for number, value in enumerate(table.values(column)):
        name = str(value)
        if name in numbers:
            message = f'id "{name}" was already used in line {table.lines[numbers[name]]}'
            raise DataError("E06", table.place(number), message, "keep one of the two rows")
        numbers[name] = number
    return numbers


def _format_ids(names: Sequence[str]) -> str:
    """Format ids for a message: `id "a" is`, `2 ids ("a", "b") are`."""
    listed = shorten_list([f'"{name}"' for name in names], 3)
    return f"id {listed} is" if len(names) == 1 else f"{len(names):,} ids ({listed}) are"
