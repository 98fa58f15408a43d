"""Parse delimited text (CSV, TSV and the like) with a header line. Every field is a string.

The parser is stricter than most CSV readers: it never truncates, pads or skips a row, and every quote must be closed.
It recognizes the delimiter from the header and, in files separated by tabs, whether quotes are part of the text, and
notes what it recognized.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from llmkit.data.reading.file_errors import FileErrors, excerpt

__all__ = ["Dialect", "parse_delimited"]

_DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_EXCEL_SEPARATOR = re.compile(r"sep=(.)")
_MAX_QUOTED_LINES = 100  # lines that a quoted field of a tab-separated file may span

Record = tuple[int, list[str]]  # line number where the record begins, and its fields


@dataclass(frozen=True)
class Dialect:
    """How the fields of a file are separated and quoted.

    Attributes:
        default: The delimiter that the file's suffix stands for.
        delimiter: The delimiter; None recognizes it from the header.
        quoting: How quotes are read. "double": a field may stand in "double quotes", with a quote inside written as "".
            "backslash": the same with a quote inside written as \\". "none": quotes are part of the text. "auto":
            "double", but in files separated by tabs quotes are text where each line has a field per column.
        limit: The longest allowed field in characters.
    """

    default: str = ","
    delimiter: str | None = None
    quoting: Literal["auto", "double", "backslash", "none"] = "auto"
    limit: int = 10_000_000


def parse_delimited(
    lines: Iterable[tuple[int, str]], errors: FileErrors, dialect: Dialect
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number where the row begins, row) for each row after the header.

    Args:
        lines: (line number, text with its line end).
        errors: Receives errors J07 to J10, and notes on what was recognized; an unusable header raises at once.
        dialect: How fields are separated and quoted.
    """
    csv.field_size_limit(max(dialect.limit, csv.field_size_limit()))  # the limit applies to the whole process
    lines, delimiter = _find_delimiter(iter(lines), errors, dialect)
    if dialect.quoting == "none":
        records = _split_records(lines, delimiter)
    elif dialect.quoting == "auto" and delimiter == "\t":
        records = _parse_tab_records(lines, errors)
    else:
        records = _parse_quoted_records(lines, errors, delimiter, dialect)
    header = next(records, None)
    if header is None:
        return
    line, names = header
    ignored = 1 if len(names) > 1 and not names[0].strip() else 0
    if ignored:
        errors.notes.append(
            f"{errors.name}: column 1 has no name and is ignored (a row index, as pandas writes it)"
        )
    _check_header(line, names, ignored, delimiter, errors)
    for line, fields in records:
        if len(fields) == len(names):
            yield line, dict(zip(names[ignored:], fields[ignored:]))
        else:
            count = f"{len(fields)} field{'' if len(fields) == 1 else 's'}"
            message = f"the row has {count}, but the header has {len(names)}"
            separator = _DELIMITERS.get(delimiter, f'"{delimiter}"')
            fix = f'put a field that contains {separator} or a line break in "double quotes"'
            errors.add("J07", message, fix, line=line)


def _find_delimiter(
    lines: Iterator[tuple[int, str]], errors: FileErrors, dialect: Dialect
) -> tuple[Iterator[tuple[int, str]], str]:
    """Return the lines from the header on, and the delimiter: the given one, Excel's `sep=` line, or by the header."""
    first = next(lines, None)
    while first is not None and not first[1].strip("\r\n"):
        first = next(lines, None)
    if first is None:
        return iter(()), dialect.delimiter or dialect.default
    if found := _EXCEL_SEPARATOR.fullmatch(first[1].strip()):
        errors.notes.append(f'{errors.name}: fields are separated by "{found[1]}" (as its first line says)')
        return lines, dialect.delimiter or found[1]
    lines = chain([first], lines)
    if dialect.delimiter:
        return lines, dialect.delimiter
    header = re.split(r"[\r\n]", first[1], maxsplit=1)[0]
    counts = {
        mark: len(next(csv.reader([header], delimiter=mark), [])) for mark in (dialect.default, *_DELIMITERS)
    }
    if counts[dialect.default] > 1:
        return lines, dialect.default
    delimiter = max(counts, key=lambda mark: counts[mark])
    if delimiter != dialect.default:
        errors.notes.append(f"{errors.name}: fields are separated by {_DELIMITERS[delimiter]}")
    return lines, delimiter


def _split_records(lines: Iterator[tuple[int, str]], delimiter: str) -> Iterator[Record]:
    """Yield the fields of each line that is not blank; quotes are part of the text."""
    for number, text in lines:
        if body := text.rstrip("\r\n"):
            yield number, body.split(delimiter)


def _parse_quoted_records(
    lines: Iterator[tuple[int, str]], errors: FileErrors, delimiter: str, dialect: Dialect
) -> Iterator[Record]:
    """Yield each record that is not blank. After a quoting error, resume at the next line."""
    begun: list[tuple[int, str]] = []

    def feed() -> Iterator[str]:
        for number, text in lines:
            if not begun:
                begun.append((number, text))
            yield text

    backslash = dialect.quoting == "backslash"
    reader = csv.reader(
        feed(),
        delimiter=delimiter,
        strict=True,
        doublequote=not backslash,
        escapechar="\\" if backslash else None,
    )
    while True:
        begun.clear()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            number, text = begun[0]
            code, message, fix = _describe_csv_error(str(error), text, backslash)
            errors.add(code, message, fix, line=number)
            continue
        if fields:
            yield begun[0][0], fields


def _describe_csv_error(reason: str, text: str, backslash: bool) -> tuple[str, str, str]:
    """Return (code, message, fix) for an error of the csv module in a record that begins with this line."""
    if reason.startswith("new-line character"):
        return "J07", "the row contains a carriage return outside quotes", r"end lines with \n"
    if not backslash and '\\"' in text:
        message = 'the file writes a quote inside a quoted field as \\"'
        return "J08", message, "set data.quoting=backslash"
    fix = "close the quote, or set data.quoting=none if quotes are part of the text"
    if reason.startswith(("unexpected end", "field larger")):
        return "J08", "the quote that opens here is never closed", fix
    message = "the quote that opens here is not closed at the end of its field"
    return "J08", message, 'close the quote; inside a quoted field, write a quote as ""'


def _parse_tab_records(lines: Iterator[tuple[int, str]], errors: FileErrors) -> Iterator[Record]:
    """Yield the records of a tab-separated file whose quotes may be quoting or part of the text.

    Published data sets (GLUE) write no quoting in .tsv: a text that begins with a quote must not swallow the next rows.
    Spreadsheets and pandas quote fields that contain tabs, line ends or quotes. A line that has a field per column is
    therefore a record of its own, unless a quote opens in it and closes in a later line that is no record by itself.
    """
    pending: deque[tuple[int, str]] = deque()

    def read_line() -> tuple[int, str] | None:
        return pending.popleft() if pending else next(lines, None)

    columns, literal = 0, 0
    while (first := read_line()) is not None:
        number, text = first
        body = text.rstrip("\r\n")
        if not body:
            continue
        fields = body.split("\t")
        complete = columns in (0, len(fields))
        if complete and not any(map(_opens_quote, fields)):
            columns = columns or len(fields)
            yield number, [_unquote(field) for field in fields]
            continue
        following: list[tuple[int, str]] = []
        quoted = _parse_quoted([text])
        while quoted is None and len(following) < _MAX_QUOTED_LINES and (line := read_line()) is not None:
            following.append(line)
            quoted = _parse_quoted([text, *(line for _, line in following)])
        is_record = [len(line.rstrip("\r\n").split("\t")) == columns for _, line in following]
        if (
            quoted is not None
            and columns in (0, len(quoted))
            and not (complete and columns and all(is_record))
        ):
            columns = columns or len(quoted)
            yield number, quoted
        else:
            pending.extendleft(reversed(following))
            literal += complete
            columns = columns or len(fields)
            yield number, [_unquote(field) for field in fields]
    if literal:
        rows = "1 row" if literal == 1 else f"{literal:,} rows"
        note = f"{errors.name}: {rows} with an unpaired quote, read as text (data.quoting=double reads quoted fields)"
        errors.notes.append(note)


def _parse_quoted(texts: list[str]) -> list[str] | None:
    """Parse lines as one quoted record; None where a quote stays open or the quoting is invalid."""
    try:
        records = list(csv.reader(texts, delimiter="\t", strict=True))
    except csv.Error:
        return None
    return records[0] if len(records) == 1 else None


def _opens_quote(field: str) -> bool:
    """Whether a field begins with a quote that is not closed at its end."""
    return field.startswith('"') and _unquote(field) == field


def _unquote(field: str) -> str:
    """Return the content of a properly quoted field, and any other field as it is."""
    inner = field[1:-1]
    if len(field) > 1 and field[0] == field[-1] == '"' and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return field


def _check_header(line: int, names: list[str], ignored: int, delimiter: str, errors: FileErrors) -> None:
    """Fail when the first line can't be a header: J09 for its names, J10 for another delimiter."""
    other = next((mark for mark in _DELIMITERS if mark != delimiter and mark in names[0]), None)
    if len(names) == 1 and other:
        separator = _DELIMITERS.get(delimiter, f'"{delimiter}"')
        message = f"the fields are separated by {_DELIMITERS[other]} instead of {separator}"
        errors.fail(
            "J10", message, f'set data.delimiter="{other}", or leave it out'.replace("\t", r"\t"), line=line
        )
    for number, name in enumerate(names[ignored:], 1 + ignored):
        if not name.strip():
            fix = "write the column names in the first line"
            if len(names) > 1 and names[0].startswith("#"):
                fix = "remove the comment in the first line; the first line names the columns"
            errors.fail("J09", f"column {number} has no name", fix, line=line)
        if _NUMBER.fullmatch(name.strip()):
            message = f'the header is missing: the first line contains the value "{excerpt(name, 0)}"'
            errors.fail("J09", message, "write the column names in the first line", line=line)
        if names.index(name) < number - 1:
            message = f'two columns are named "{excerpt(name, 0)}"'
            errors.fail("J09", message, "rename one of them", line=line)
