"""Rows from JSON: one object a line, or a document that is a list of objects (or holds one under "data").

Python's own decoder does the work; beside it stand the faults it lets pass: doubled keys, NaN, lone
surrogates. SQuAD's articles become one row a question (`squad_rows`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

from llmkit.data.reading.file_errors import FileErrors, excerpt
from llmkit.data.reading.squad_rows import is_article, parse_article

__all__ = ["parse_json_document", "parse_json_lines"]

Row = dict[str, Any]

_SPACE = re.compile(r"[ \t\n\r]*")
_LONE_SURROGATE = re.compile(r"\\ud[89ab]..(?!\\ud[c-f])|(?<!\\ud[89ab]..)\\ud[c-f]..", re.IGNORECASE)
_DATA = re.compile(r'"data"\s*:\s*\[')
_KINDS = {
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    type(None): "null",
}


def parse_json_lines(lines: Iterable[tuple[int, str]], errors: FileErrors) -> Iterator[tuple[int, Row]]:
    """(line number, object) of each line that is not blank. Problems J01-J05, J11 go to the errors."""
    decoder = _Decoder(errors)
    for number, line in lines:
        text = line.rstrip("\r\n")
        if not text.strip():
            continue
        try:
            start = _skip(text, 0)
            value, end = decoder.value(text, start, line=number)
            if _skip(text, end) != len(text):
                raise json.JSONDecodeError("more text after the object", text, _skip(text, end))
        except json.JSONDecodeError as error:
            _add_syntax(errors, text, error, first_line=number)
            continue
        if (row := _checked(value, text, number, errors)) is not None:
            yield number, row


def parse_json_document(text: str, errors: FileErrors, *, by_id: bool = False) -> Iterator[tuple[int, Row]]:
    """(line of its opening bracket, object) of each row of a whole document. Problems F04, J01-J05, J11.

    An article in the form of SQuAD is as many rows as it has questions. by_id: {"q1": "an answer", ...}, as
    SQuAD's script takes predictions, is a row {"id": "q1", "value": "an answer"} for each key.
    """
    cursor = _Cursor(text, _Decoder(errors))
    try:
        if not cursor.at("{"):
            values = _items(cursor)
        elif by_id and not _DATA.search(text):
            values = _items_by_id(cursor)
        else:
            values = _items_under_data(cursor, errors)
        for number, start, value in values:
            item = text[start : cursor.position]
            row = _checked(value, item, number, errors)
            if row is not None:
                yield from parse_article(row, item, number, errors) if is_article(row) else [(number, row)]
        cursor.end()
    except json.JSONDecodeError as error:
        _add_syntax(errors, text, error, first_line=1)


class _Decoder:
    """json.JSONDecoder that puts J04 and J05 among the errors and goes on."""

    def __init__(self, errors: FileErrors) -> None:
        self._findings = errors
        self._line = 0
        self._json = json.JSONDecoder(
            object_pairs_hook=self._object, parse_constant=self._constant, parse_float=self._float
        )

    def value(self, text: str, position: int, *, line: int) -> tuple[Any, int]:
        """(value that begins at the position, position after it). Raises JSONDecodeError."""
        self._line = line
        try:
            return self._json.raw_decode(text, position)
        except json.JSONDecodeError:
            raise
        except RecursionError:
            raise json.JSONDecodeError("Nested too deeply", text, position) from None
        except ValueError:  # Python's limit of 4300 digits
            raise json.JSONDecodeError("Number with too many digits", text, position) from None

    def _object(self, pairs: list[tuple[str, Any]]) -> Row:
        row = dict(pairs)
        if len(row) < len(pairs):
            keys = [key for key, _ in pairs]
            doubled = next(key for key in keys if keys.count(key) > 1)
            self._findings.add(
                "J04", f'key "{doubled}" stands twice in an object', "remove one", line=self._line
            )
        return row

    def _constant(self, name: str) -> None:
        self._findings.add("J05", f"{name} is not JSON", "write null, or a number", line=self._line)

    def _float(self, digits: str) -> float:
        number = float(digits)
        if math.isinf(number):
            self._findings.add(
                "J05", f"the number {excerpt(digits, 0)} is too large", "write less", line=self._line
            )
        return number


class _Cursor:
    """A position in a document; moves over white space, marks and values."""

    def __init__(self, text: str, decoder: _Decoder) -> None:
        self.text, self.position = text, _skip(text, 0)
        self._decoder = decoder
        self._line, self._counted = 1, 0  # line number at the position `_counted`

    def at(self, mark: str) -> bool:
        return self.text.startswith(mark, self.position)

    def take(self, mark: str) -> None:
        if not self.at(mark):
            raise json.JSONDecodeError(f"Expecting '{mark}' delimiter", self.text, self.position)
        self.position = _skip(self.text, self.position + 1)

    def line(self) -> int:
        self._line += self.text.count("\n", self._counted, self.position)
        self._counted = self.position
        return self._line

    def value(self) -> Any:
        value, end = self._decoder.value(self.text, self.position, line=self.line())
        self.position = _skip(self.text, end)
        return value

    def end(self) -> None:
        if self.position != len(self.text):
            raise json.JSONDecodeError("Extra data", self.text, self.position)


Item = tuple[int, int, Any]  # line, position where it begins, value


def _items(cursor: _Cursor) -> Iterator[Item]:
    """The items of a list."""
    cursor.take("[")
    while not cursor.at("]"):
        line, start = cursor.line(), cursor.position
        yield line, start, cursor.value()
        if cursor.at("]"):
            break
        cursor.take(",")
        if cursor.at("]"):
            raise json.JSONDecodeError("Expecting value", cursor.text, cursor.position)
    cursor.take("]")


def _items_by_id(cursor: _Cursor) -> Iterator[Item]:
    """The members of an object, each as an id and its value."""
    for line, start, key in _members(cursor):
        yield line, start, {"id": key, "value": cursor.value()}


def _items_under_data(cursor: _Cursor, errors: FileErrors) -> Iterator[Item]:
    """The items of the list under the key "data"; the document's other keys are passed over."""
    seen = False
    for _, _, key in _members(cursor):
        if key == "data" and cursor.at("["):
            seen = True
            yield from _items(cursor)
        else:
            cursor.value()
    if cursor.at("{"):
        errors.fail("F04", "holds one JSON object a line, not a JSON document", "rename it to .jsonl")
    if not seen:
        fix = 'put the rows in a list: [{...}, {...}], or {"data": [...]}'
        errors.add("J03", "the file is one object, not a list of rows", fix, line=1)


def _members(cursor: _Cursor) -> Iterator[tuple[int, int, str]]:
    """(line, position, key) of each member of an object; its value is the caller's to take, before the next."""
    cursor.take("{")
    while not cursor.at("}"):
        if not cursor.at('"'):
            raise json.JSONDecodeError(
                "Expecting property name enclosed in double quotes", cursor.text, cursor.position
            )
        line, start = cursor.line(), cursor.position
        key = cursor.value()
        cursor.take(":")
        yield line, start, key
        if not cursor.at("}"):
            cursor.take(",")
            if cursor.at("}"):
                raise json.JSONDecodeError("Expecting property name", cursor.text, cursor.position)
    cursor.take("}")


def _checked(value: Any, text: str, line: int, errors: FileErrors) -> Row | None:
    """The value if it is an object of good strings, else None and a problem."""
    if not isinstance(value, dict):
        kind = _KINDS[type(value)]
        errors.add("J03", f"{kind} where an object is expected", 'write {"column": value, ...}', line=line)
        return None
    if "\\u" in text and (escape := _lone_surrogate(value, text)):
        errors.add(
            "J11", f"{escape} is half of a surrogate pair, no character", "remove or repair it", line=line
        )
        return None
    return value


def _lone_surrogate(row: Row, text: str) -> str | None:
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        found = _LONE_SURROGATE.search(text)
        return found.group() if found else f"\\u{ord(error.object[error.start]):04x}"
    return None


def _add_syntax(errors: FileErrors, text: str, error: json.JSONDecodeError, *, first_line: int) -> None:
    """Put a syntax error among the errors: J02 for the two common ones, else J01."""
    position, message, fix, code = _classified(text, error)
    line = first_line + text.count("\n", 0, position)
    column = position - text.rfind("\n", 0, position)
    message = f"{message} near `{excerpt(text, position)}`" if text.strip() else message
    errors.add(code, message, fix, line=line, column=column)


def _classified(text: str, error: json.JSONDecodeError) -> tuple[int, str, str, str]:
    """(position, message, fix, code)."""
    position = error.pos
    before = text[:position].rstrip()
    if text[position : position + 1] == "'":
        return position, "JSON wants double quotes, not single ones", 'write "..."', "J02"
    comma = position if text[position : position + 1] == "," else len(before) - 1
    if text[comma : comma + 1] == "," and text[_skip(text, comma + 1) :][:1] in ("}", "]"):
        return comma, "a comma before the closing bracket", "remove the comma", "J02"
    return position, f"malformed JSON ({error.msg})", "correct it there", "J01"


def _skip(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position
