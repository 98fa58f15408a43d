"""Build an Arrow table from rows: rename columns, hash the content, check the types, convert in chunks.

Up to IN_MEMORY bytes of rows are kept as a table. Above that only their types and places are kept; `corpus.read` then
reads the files a second time and writes the rows straight into the cache.
"""

from __future__ import annotations

import bisect
import hashlib
import json
from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import ErrorDetail, shorten_list, suggest

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ArrowTableBuilder", "rename_columns"]

IN_MEMORY = 64 << 20  # bytes of rows, measured as JSON
CHUNK_ROWS, CHUNK_BYTES = 10_000, 16 << 20  # a chunk ends at whichever comes first

Row = dict[str, Any]

# How message J06 names the type of a value; integers and floats are both numbers.
_TYPE_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def rename_columns(row: Row, columns: Mapping[str, str]) -> Row:
    """Return the row with the task's column names; columns that the task does not use keep their names.

    Args:
        row: A row with the file's column names.
        columns: The task's name of a column -> its name in the file. A column of the file is left out when the task
            uses its name for another column.
    """
    reserved = {*columns, *columns.values()}
    renamed = {task: row[file] for task, file in columns.items() if file in row}
    return renamed | {name: value for name, value in row.items() if name not in reserved}


class ArrowTableBuilder:
    """Collects the rows of one split: for each file `begin_file`, `add` per row, `end_file`; in the end `finish`.

    Attributes:
        columns: The task's name of a column -> its name in the files.
        errors: The errors L01 and J06 so far.
        lines: The line number of each row.
        file_index: The index into `files` of each row.
        files: The names of the files as the user wrote them.
        in_memory: Whether the rows are kept, because there are at most IN_MEMORY bytes.
    """

    def __init__(self, columns: Mapping[str, str]) -> None:
        self.columns = columns
        self.errors: list[ErrorDetail] = []
        self.lines, self.file_index = array("q"), array("i")
        self.files: list[str] = []
        self.in_memory = True
        self._digest = hashlib.sha256()
        self._bytes = 0
        self._type_places: dict[
            str, dict[str, str]
        ] = {}  # column -> type of value -> place of the first such value
        self._file_columns: set[str] = set()  # columns of the current file, by their names there
        self._chunk: list[Row] = []
        self._chunk_end = CHUNK_BYTES
        self._tables: list[pa.Table] = []
        self._fields: dict[str, pa.Field] = {}
        self._excluded: dict[str, str] = {}  # column -> why it is left out

    def begin_file(self, name: str) -> None:
        """Begin the file that the following rows come from."""
        self.files.append(name)
        self._file_columns = set()

    def add(self, line: int, row: Row) -> None:
        """Add a row of the current file."""
        self._file_columns.update(row)
        row = rename_columns(row, self.columns)
        self.lines.append(line)
        self.file_index.append(len(self.files) - 1)
        for name, value in row.items():
            kind = _TYPE_NAMES.get(type(value)) or type(value).__name__
            self._type_places.setdefault(name, {}).setdefault(kind, f"{self.files[-1]}:{line}")
        content = {name: value for name, value in row.items() if value is not None}
        encoded = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str).encode() + b"\n"
        self._digest.update(encoded)
        self._bytes += len(encoded)
        self._chunk.append(row)
        if len(self._chunk) >= CHUNK_ROWS or self._bytes >= self._chunk_end:
            self._convert_chunk()

    def end_file(self) -> None:
        """Add L01 for each column of the task that no row of the current file has."""
        for task, file in self.columns.items():
            if file not in self._file_columns:
                columns = shorten_list(sorted(self._file_columns), 10)
                fix = f"set data.columns.{task}=NAME{suggest(file, self._file_columns)}"
                message = f'column "{file}" is missing (the file has: {columns})'
                self.errors.append(ErrorDetail("L01", self.files[-1], message, fix))

    def finish(self) -> list[str]:
        """Convert the last chunk, add J06 for changing types, and return notes on columns that are left out."""
        self._convert_chunk()
        for name, places in self._type_places.items():
            self._check_types(name, {kind: place for kind, place in places.items() if kind != "null"})
        return [f'column "{name}" is left out: {why}' for name, why in self._excluded.items()]

    def schema(self) -> pa.Schema:
        """Return the schema of the columns that are kept."""
        import pyarrow as pa

        return pa.schema([field for name, field in self._fields.items() if name not in self._excluded])

    def table(self) -> pa.Table:
        """Return the table of all rows. Requires `in_memory` and no errors."""
        import pyarrow as pa

        names = self.schema().names
        tables = [
            table.select([name for name in names if name in table.column_names]) for table in self._tables
        ]
        return pa.concat_tables(tables, promote_options="permissive").select(names)

    def digest(self) -> str:
        """Return the SHA-256 of the rows' content in order; a null value counts as a missing one."""
        return self._digest.hexdigest()

    def places(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return (index into `files`, line number) of the rows, each of shape (rows,)."""
        return np.array(self.file_index, np.int32), np.array(self.lines, np.int64)

    def _convert_chunk(self) -> None:
        """Convert the chunk to a table and keep it; above IN_MEMORY keep only its types."""
        import pyarrow as pa

        arrays = {}
        for name in dict.fromkeys(name for row in self._chunk for name in row):
            values = [row.get(name) for row in self._chunk]
            converted = _convert(values)
            if converted is not None and self._widen_type(name, converted.type):
                arrays[name] = converted
            else:
                self._reject_column(name, len(self.lines) - len(self._chunk) + _find_misfit(values))
        if self._chunk and self.in_memory:
            self._tables.append(pa.table(arrays) if arrays else pa.table({"": pa.nulls(len(self._chunk))}))
        if self._bytes > IN_MEMORY:
            self.in_memory, self._tables = False, []
        self._chunk, self._chunk_end = [], self._bytes + CHUNK_BYTES

    def _widen_type(self, name: str, kind: pa.DataType) -> bool:
        """Widen a column's type to include this one. Returns False when no Arrow type does."""
        import pyarrow as pa

        fields = [field for field in (self._fields.get(name), pa.field(name, kind)) if field is not None]
        schemas = [pa.schema([field]) for field in fields]
        try:
            self._fields[name] = pa.unify_schemas(schemas, promote_options="permissive").field(name)
        except pa.ArrowException:
            return False
        return True

    def _reject_column(self, name: str, row: int) -> None:
        """Handle a column that no Arrow type fits: leave it out, or add J06 when the task uses it.

        When the column has values of several JSON types, `_check_types` adds the J06, with both places.
        """
        place = f"{self.files[self.file_index[row]]}:{self.lines[row]}"
        if name not in self.columns:
            self._excluded.setdefault(name, f"its type changes ({place})")
        elif len(self._type_places[name].keys() - {"null"}) == 1:
            message = f'the type of this value in column "{self.columns[name]}" differs from the rows before'
            self.errors.append(ErrorDetail("J06", place, message, "give all rows the same type"))

    def _check_types(self, name: str, places: dict[str, str]) -> None:
        """Add J06 for each further type in a column that the task uses; leave out any other column."""
        (first, first_place), *others = places.items() or [("null", "")]
        for kind, place in others:
            if name in self.columns:
                message = f'column "{self.columns[name]}" contains {kind} here, but {first} in {first_place}'
                self.errors.append(ErrorDetail("J06", place, message, "give all rows the same type"))
            else:
                self._excluded[name] = f"it contains {first} ({first_place}) and {kind} ({place})"


def _convert(values: list[Any]) -> pa.Array | None:
    """Convert values to an Arrow array; return None when no single type fits them."""
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return None


def _find_misfit(values: list[Any]) -> int:
    """Return the index of the first value that has another type than those before it; 0 when all fit."""
    count = bisect.bisect_left(range(1, len(values) + 1), True, key=lambda n: _convert(values[:n]) is None)
    return count % len(values)
