"""Rows from comma- or tab-separated text with a header line; every field is a string.

Stricter than the usual readers: no row is cut, filled up or skipped, a quote must be closed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator

from llmkit.data.reading.file_errors import FileErrors, excerpt

__all__ = ["parse_delimited"]

Record = tuple[int, list[str]]  # line where it begins, fields

_NAMES = {",": "a comma", "\t": "a tab", ";": "a semicolon", "|": "a bar"}
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def parse_delimited(
    lines: Iterable[tuple[int, str]], errors: FileErrors, *, delimiter: str, limit: int
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line where it begins, row). Problems J07-J10 go to the errors. limit: longest field (characters)."""
    records = _records(lines, errors, delimiter, limit)
    header = next(records, None)
    if header is None:
        return
    line, names = header
    _check_header(line, names, delimiter, errors)
    for line, fields in records:
        if len(fields) == len(names):
            yield line, dict(zip(names, fields))
        else:
            fix = f'put a field that holds {_NAMES[delimiter]} or a line end in "double quotes"'
            errors.add("J07", f"{len(fields)} fields instead of {len(names)}", fix, line=line)


def _records(
    lines: Iterable[tuple[int, str]], errors: FileErrors, delimiter: str, limit: int
) -> Iterator[Record]:
    """The records that are not blank. After a quoting error reading goes on at the next line."""
    csv.field_size_limit(max(limit, csv.field_size_limit()))  # one setting for the whole process
    first: list[int] = []

    def feed() -> Iterator[str]:
        for number, text in lines:
            if not first:
                first.append(number)
            yield text

    reader = csv.reader(feed(), delimiter=delimiter, strict=True)
    while True:
        first.clear()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            _add_quoting(errors, first[0], str(error))
            continue
        if fields:
            yield first[0], fields


def _add_quoting(errors: FileErrors, line: int, error: str) -> None:
    if error.startswith("new-line character"):
        errors.add("J07", "a carriage return inside the row", r"end the lines with \n", line=line)
    elif error.startswith(("unexpected end", "field larger")):
        errors.add("J08", "the quote that opens here is never closed", "close it", line=line)
    else:
        fix = 'close it, and write a quote inside a quoted field as ""'
        errors.add("J08", "a quote opens here and is not closed before the field ends", fix, line=line)


def _check_header(line: int, names: list[str], delimiter: str, errors: FileErrors) -> None:
    """Stop at a header that can't name the columns."""
    seen = next((mark for mark in _NAMES if mark != delimiter and mark in names[0]), None)
    if len(names) == 1 and seen:
        suffix = {",": "rename it to .csv", "\t": "rename it to .tsv"}
        fix = suffix.get(seen, f"write {_NAMES[delimiter]} between the fields")
        errors.fail(
            "J10", f"the fields are separated by {_NAMES[seen]}, not by {_NAMES[delimiter]}", fix, line=line
        )
    fix = "write the column names in the first line"
    for number, name in enumerate(names, 1):
        if not name.strip():
            errors.fail("J09", f"column {number} has no name", fix, line=line)
        if _NUMBER.fullmatch(name.strip()):
            message = f'the header is missing: the first line holds the value "{excerpt(name, 0)}"'
            errors.fail("J09", message, fix, line=line)
        if names.index(name) < number - 1:
            errors.fail("J09", f'two columns are named "{excerpt(name, 0)}"', "rename one", line=line)
