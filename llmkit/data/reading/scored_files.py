"""Predictions and references as files: their rows, each with its line, and which rows belong together.

    predictions, *references = pair_rows(read_table("hyp.jsonl"), [read_table("ref.jsonl")])

Rows are paired by their ids where both sides have such a column, else by their order. Nothing is left out: what
has no counterpart is an error. A file is read as its suffix says, any other suffix (hyp.en, system.out) as plain
text: an example a line, blank lines too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llmkit.base.errors import DataError, ErrorDetail, closest, some
from llmkit.data.reading.file_errors import FileErrors
from llmkit.data.reading.readers import PLAIN_TEXT, data_suffix, read_rows
from llmkit.recipe.schema import Data

__all__ = ["Table", "pair_rows", "read_table"]

ID = "id"
RECIPE_FIX = re.compile(r", or (set|raise) data\..*")

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Table:
    """A file's rows in their order (at least one), and the line (in parquet the row number) of each."""

    name: str  # the path as the user gave it
    lines: Sequence[int]
    rows: Sequence[Row]
    notes: Sequence[str] = ()  # what its reader has to say

    @property
    def columns(self) -> list[str]:
        return list(self.rows[0])

    def place(self, number: int) -> str:
        """`file:line` of a row."""
        return f"{self.name}:{self.lines[number]}"

    def values(self, column: str) -> list[Any]:
        """What each row has there. DataError E07 for a row without it."""
        for number, row in enumerate(self.rows):
            if row.get(column) is None:
                message = f'its "{column}" is missing or null'
                raise DataError("E07", self.place(number), message, "write one in each row")
        return [row[column] for row in self.rows]

    def ordered(self, order: Sequence[int]) -> Table:
        """The rows with these numbers."""
        return Table(self.name, [self.lines[n] for n in order], [self.rows[n] for n in order])


def read_table(name: str, *, asked: Collection[str] = ()) -> Table:
    """All rows of a file. asked: columns that the user names, as a column of a CoNLL file has only a number.

    Raises DataError F01-F10, J01-J05, J07-J11, N04.
    """
    path, errors = Path(name), FileErrors(name)
    _check_there(path, errors)
    data = Data(columns={column: column for column in asked})
    try:
        found = list(read_rows(path, data, errors, otherwise=PLAIN_TEXT, by_id=True))
    except DataError as error:
        raise DataError.of(_first_of_each(error.details)) from None
    if (data_suffix(path.name) or PLAIN_TEXT) == PLAIN_TEXT:
        found = [(line, {"text": row["text"].removesuffix("\n")}) for line, row in found]
    lines, values = zip(*found)
    return Table(name, lines, values, errors.notes)


def pair_rows(predictions: Table, references: Sequence[Table], id_column: str | None = None) -> list[Table]:
    """The predictions, then each of the references, all in the order of the first references.

    id_column: where the ids stand, if not under "id". DataError E04 for another number of rows, E05 for ids on
    one side only, E06 for an id given twice, U01 for an id_column that is not there.
    """
    tables, name = [predictions, *references], id_column or ID
    if id_column:
        for table in tables:
            _check_column(table, id_column)
    if all(table.rows[0].get(name) is not None for table in tables):
        return _by_id(tables, name)
    for table in references:
        _check_as_many(predictions, table)
    return tables


def _check_there(path: Path, errors: FileErrors) -> None:
    if path.is_dir():
        errors.fail("F02", "is a folder", "name the file")
    if not path.exists():
        there = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        errors.fail("F01", f"there is no such file{closest(path.name, there)}", "correct the path")


def _first_of_each(problems: Sequence[ErrorDetail]) -> list[ErrorDetail]:
    """A line for each kind of problem: a file of predictions is written by a program, which errs in every row.

    What a reader would have a recipe set is left out of the fix.
    """
    kinds: dict[str, list[ErrorDetail]] = {}
    for problem in problems:
        kinds.setdefault(problem.code, []).append(problem)
    return [
        replace(
            first,
            message=f"{first.message} (and {len(rest):,} more)" if rest else first.message,
            fix=RECIPE_FIX.sub("", first.fix),
        )
        for first, *rest in kinds.values()
    ]


def _check_column(table: Table, name: str) -> None:
    if name not in table.rows[0]:
        message = f'there is no column "{name}"{closest(name, table.columns)}'
        raise DataError("E07", table.name, message, f"choose from {some(table.columns, 20)}")


def _check_as_many(predictions: Table, references: Table) -> None:
    have, want = len(predictions.rows), len(references.rows)
    if have != want:
        message = f"has {_examples(have)}, but {references.name} has {_examples(want)}"
        fix = "both must tell of the same examples in the same order, or each row must have an id"
        raise DataError("E04", predictions.name, message, fix)


def _examples(count: int) -> str:
    return f"{count:,} example{'' if count == 1 else 's'}"


def _by_id(tables: Sequence[Table], column: str) -> list[Table]:
    numbers = [_numbers(table, column) for table in tables]
    first, order = tables[1], list(numbers[1])
    for table, found in zip(tables, numbers):
        _check_same(table, found, first, numbers[1])
    return [table.ordered([found[name] for name in order]) for table, found in zip(tables, numbers)]


def _numbers(table: Table, column: str) -> dict[str, int]:
    """The row number of each id; 7 in one file is "7" in another."""
    found: dict[str, int] = {}
    for number, value in enumerate(table.values(column)):
        name = str(value)
        if name in found:
            message = f'id "{name}" stands in line {table.lines[found[name]]} already'
            raise DataError("E06", table.place(number), message, "keep one of the two rows")
        found[name] = number
    return found


def _check_same(table: Table, found: dict[str, int], first: Table, wanted: dict[str, int]) -> None:
    """Raises DataError E05."""
    alone = [name for name in found if name not in wanted]
    missing = [name for name in wanted if name not in found]
    parts = [f"{_ids(alone)} only here"] if alone else []
    parts += [f"{_ids(missing)} only in {first.name}"] if missing else []
    if parts:
        fix = "both files must hold the same examples"
        raise DataError("E05", table.name, "; ".join(parts), fix)


def _ids(names: Sequence[str]) -> str:
    """`id "a" stands`, `2 ids ("a", "b") stand`"""
    shown = some([f'"{name}"' for name in names], 3)
    return f"id {shown} stands" if len(names) == 1 else f"{len(names):,} ids ({shown}) stand"
