"""Rows on their way into an Arrow table: rename_columns, hashed, their types watched, in chunks.

Up to `IN_MEMORY` bytes of rows stay in memory; above, only their types and places are kept and the rows are
read a second time, straight into the cache (`corpus.read`).
"""

from __future__ import annotations

import bisect
import hashlib
import json
from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import ErrorDetail, closest, some

__all__ = ["ArrowTableBuilder", "rename_columns"]

IN_MEMORY = 64 << 20  # bytes of rows, written as JSON
CHUNK_ROWS, CHUNK_BYTES = 10_000, 16 << 20  # whichever comes first

Row = dict[str, Any]


def rename_columns(row: Row, columns: Mapping[str, str]) -> Row:
    """The row under the task's names; columns the task does not use keep theirs.

    columns: the task's name -> the file's name. A column of the file whose name the task gives to another
    is left out.
    """
    taken = {*columns, *columns.values()}
    own = {task: row[file] for task, file in columns.items() if file in row}
    return own | {name: value for name, value in row.items() if name not in taken}


class ArrowTableBuilder:
    """The rows of one part, file after file: `begin`, `add` ..., `end`; at last `finish`."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        self.columns = columns
        self.problems: list[ErrorDetail] = []
        self.lines, self.file_index = array("q"), array("i")
        self.files: list[str] = []
        self.in_memory = True
        self._digest = hashlib.sha256()
        self._bytes = 0
        self._kinds: dict[str, dict[str, str]] = {}  # column -> kind of value -> place of the first
        self._seen: set[str] = set()  # columns of the file at hand, by their names there
        self._chunk: list[Row] = []
        self._chunk_end = CHUNK_BYTES
        self._tables: list[Any] = []
        self._fields: dict[str, Any] = {}  # column -> pyarrow.Field
        self._left_out: dict[str, str] = {}  # column -> why

    def begin(self, shown: str) -> None:
        """The following rows are from this file."""
        self.files.append(shown)
        self._seen = set()

    def add(self, line: int, row: Row) -> None:
        """One row of the file at hand."""
        self._seen.update(row)
        row = rename_columns(row, self.columns)
        self.lines.append(line)
        self.file_index.append(len(self.files) - 1)
        for name, value in row.items():
            self._kinds.setdefault(name, {}).setdefault(_kind(value), f"{self.files[-1]}:{line}")
        self._hash(row)
        self._chunk.append(row)
        if len(self._chunk) >= CHUNK_ROWS or self._bytes >= self._chunk_end:
            self._flush()

    def end(self) -> None:
        """The file at hand is read: are the columns there? L01."""
        for task, file in self.columns.items():
            if file not in self._seen:
                there = f"columns there: {some(sorted(self._seen), 10)}"
                fix = f"set data.columns.{task}=NAME{closest(file, self._seen)}"
                self.problems.append(
                    ErrorDetail("L01", self.files[-1], f'column "{file}" is missing ({there})', fix)
                )

    def finish(self) -> list[str]:
        """All is added: J06 goes to the problems. Returns notes on columns that are left out."""
        self._flush()
        for name, places in self._kinds.items():
            self._check_kinds(name, {kind: place for kind, place in places.items() if kind != "null"})
        return [f'column "{name}" is left out: {why}' for name, why in self._left_out.items()]

    def schema(self) -> Any:
        """pyarrow.Schema of the columns kept."""
        import pyarrow as pa

        return pa.schema([field for name, field in self._fields.items() if name not in self._left_out])

    def table(self) -> Any:
        """pyarrow.Table of all rows; only while `in_memory` and without problems."""
        import pyarrow as pa

        names = self.schema().names
        tables = [
            table.select([name for name in names if name in table.column_names]) for table in self._tables
        ]
        return pa.concat_tables(tables, promote_options="permissive").select(names)

    def digest(self) -> str:
        """SHA-256 of the rows' content, in order; null and missing are the same."""
        return self._digest.hexdigest()

    def places(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """(index into files, line) of each row."""
        return np.array(self.file_index, np.int32), np.array(self.lines, np.int64)

    def _hash(self, row: Row) -> None:
        content = {name: value for name, value in row.items() if value is not None}
        encoded = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str).encode() + b"\n"
        self._digest.update(encoded)
        self._bytes += len(encoded)

    def _flush(self) -> None:
        """Turn the chunk into a table, or, above IN_MEMORY, into its types only."""
        import pyarrow as pa

        arrays = {}
        for name in dict.fromkeys(name for row in self._chunk for name in row):
            values = [row.get(name) for row in self._chunk]
            made = _array(values)
            if made is not None and self._unify(name, made.type):
                arrays[name] = made
            else:
                self._refuse(name, len(self.lines) - len(self._chunk) + _misfit(values))
        if self._chunk and self.in_memory:
            self._tables.append(pa.table(arrays) if arrays else pa.table({"": pa.nulls(len(self._chunk))}))
        if self._bytes > IN_MEMORY:
            self.in_memory, self._tables = False, []
        self._chunk, self._chunk_end = [], self._bytes + CHUNK_BYTES

    def _unify(self, name: str, kind: Any) -> bool:
        """Widen the column's type to hold this one too; False when there is no such type."""
        import pyarrow as pa

        schemas = [
            pa.schema([field])
            for field in (self._fields.get(name), pa.field(name, kind))
            if field is not None
        ]
        try:
            self._fields[name] = pa.unify_schemas(schemas, promote_options="permissive").field(name)
        except pa.ArrowException:
            return False
        return True

    def _refuse(self, name: str, row: int) -> None:
        """A column that no Arrow type holds: J06 if in use (and `_check_kinds` is silent), else left out."""
        place = f"{self.files[self.file_index[row]]}:{self.lines[row]}"
        if name not in self.columns:
            self._left_out.setdefault(name, f"its type changes ({place})")
        elif len(self._kinds[name].keys() - {"null"}) == 1:
            message = f'column "{self.columns[name]}" holds a value of another type than the rows before'
            self.problems.append(ErrorDetail("J06", place, message, "give all rows the same type"))

    def _check_kinds(self, name: str, places: dict[str, str]) -> None:
        """J06 where a column in use changes its type; another column is left out."""
        (first, first_place), *others = places.items() or [("null", "")]
        for kind, place in others:
            if name in self.columns:
                message = f'column "{self.columns[name]}" holds {kind} here, but {first} in {first_place}'
                self.problems.append(ErrorDetail("J06", place, message, "give all rows the same type"))
            else:
                self._left_out[name] = f"it holds {first} ({first_place}) and {kind} ({place})"


_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def _kind(value: object) -> str:
    """What a value is, as said in J06; int and float are both numbers."""
    return _KINDS.get(type(value)) or type(value).__name__


def _array(values: list[Any]) -> Any:
    """pyarrow.Array of the values, or None when no one type holds them."""
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return None


def _misfit(values: list[Any]) -> int:
    """Index of the first value that does not fit with those before it; 0 when all fit."""
    count = bisect.bisect_left(range(1, len(values) + 1), True, key=lambda n: _array(values[:n]) is None)
    return count % len(values)
