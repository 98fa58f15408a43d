"""Parse comma- or tab-separated text with a header line. Every field is a string.

The parser is stricter than most CSV readers: it never truncates, pads or skips a row, and every quote must be closed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator

from llmkit.data.reading.file_errors import FileErrors, excerpt

__all__ = ["parse_delimited"]

_DELIMITERS = {",": "a comma", "\t": "a tab", ";": "a semicolon", "|": "a vertical bar"}
_PLURALS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def parse_delimited(
    lines: Iterable[tuple[int, str]], errors: FileErrors, *, delimiter: str, limit: int
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number where the row begins, row) for each row after the header.

    Args:
        lines: (line number, text with its line end).
        errors: Receives errors J07 to J10; an unusable header raises them at once.
        delimiter: A comma or a tab.
        limit: The longest allowed field in characters.
    """
    records = _parse_records(lines, errors, delimiter, limit)
    header = next(records, None)
    if header is None:
        return
    line, names = header
    _check_header(line, names, delimiter, errors)
    for line, fields in records:
        if len(fields) == len(names):
            yield line, dict(zip(names, fields))
        else:
            count = f"{len(fields)} field{'' if len(fields) == 1 else 's'}"
            message = f"the row has {count}, but the header has {len(names)}"
            fix = f'put a field that contains {_DELIMITERS[delimiter]} or a line break in "double quotes"'
            errors.add("J07", message, fix, line=line)


def _parse_records(
    lines: Iterable[tuple[int, str]], errors: FileErrors, delimiter: str, limit: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of each record that is not blank. After a quoting error, resume at the next line."""
    csv.field_size_limit(max(limit, csv.field_size_limit()))  # the limit applies to the whole process
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
            reason, code, fix = str(error), "J08", "close the quote"
            if reason.startswith("new-line character"):
                code, fix = "J07", r"end lines with \n"
                message = "the row contains a carriage return outside quotes"
            elif reason.startswith(("unexpected end", "field larger")):
                message = "the quote that opens here is never closed"
            else:
                message = "the quote that opens here is not closed at the end of its field"
                fix = 'close the quote; inside a quoted field, write a quote as ""'
            errors.add(code, message, fix, line=first[0])
            continue
        if fields:
            yield first[0], fields


def _check_header(line: int, names: list[str], delimiter: str, errors: FileErrors) -> None:
    """Fail when the first line can't be a header: J09 for its names, J10 for another delimiter."""
    other = next((mark for mark in _DELIMITERS if mark != delimiter and mark in names[0]), None)
    if len(names) == 1 and other:
        renames = {",": "rename the file to .csv", "\t": "rename the file to .tsv"}
        fix = renames.get(other, f"separate the fields by {_PLURALS[delimiter]}")
        message = f"the fields are separated by {_PLURALS[other]} instead of {_PLURALS[delimiter]}"
        errors.fail("J10", message, fix, line=line)
    fix = "write the column names in the first line"
    for number, name in enumerate(names, 1):
        if not name.strip():
            errors.fail("J09", f"column {number} has no name", fix, line=line)
        if _NUMBER.fullmatch(name.strip()):
            message = f'the header is missing: the first line contains the value "{excerpt(name, 0)}"'
            errors.fail("J09", message, fix, line=line)
        if names.index(name) < number - 1:
            message = f'two columns are named "{excerpt(name, 0)}"'
            errors.fail("J09", message, "rename one of them", line=line)
