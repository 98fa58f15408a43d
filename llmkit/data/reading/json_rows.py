"""Parse JSON rows: one object per line, or a document that is a list of objects (or has one under the key "data").

Python's own decoder parses the text. This module also reports what that decoder accepts: repeated keys, NaN, infinite
numbers and lone surrogates. A SQuAD article becomes one row per question (see `squad_rows`).
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
_TYPE_NAMES = {
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    type(None): "null",
}


def parse_json_lines(lines: Iterable[tuple[int, str]], errors: FileErrors) -> Iterator[tuple[int, Row]]:
    """Yield (line number, object) for each line that is not blank. Errors J01 to J05 and J11 go to `errors`."""
    decoder = _Decoder(errors)
    for number, line in lines:
        text = line.rstrip("\r\n")
        if not text.strip():
            continue
        try:
            value, end = decoder.decode(text, _skip_space(text, 0), line=number)
            end = _skip_space(text, end)
            if end != len(text):
                raise json.JSONDecodeError("more text after the object", text, end)
        except json.JSONDecodeError as error:
            _add_syntax_error(errors, text, error, first_line=number)
            continue
        if (row := _check_row(value, text, number, errors)) is not None:
            yield number, row


def parse_json_document(text: str, errors: FileErrors, *, by_id: bool = False) -> Iterator[tuple[int, Row]]:
    """Yield (line number of its opening bracket, object) for each row of a whole document.

    Args:
        text: The document. A SQuAD article in it becomes one row per question.
        errors: Receives errors J01 to J05 and J11, and raises F04 when the document is JSON lines.
        by_id: Whether to accept {"q1": "an answer", ...}, the format of predictions for SQuAD's evaluation script;
            each key becomes a row {"id": "q1", "value": "an answer"}.
    """
    cursor = _Cursor(text, _Decoder(errors))
    try:
        if not cursor.at("{"):
            items = _read_items(cursor)
        elif by_id and not _DATA.search(text):
            items = (
                (line, start, {"id": key, "value": cursor.take_value()})
                for line, start, key in _read_keys(cursor)
            )
        else:
            items = _read_items_under_data(cursor, errors)
        for number, start, value in items:
            item = text[start : cursor.position]
            row = _check_row(value, item, number, errors)
            if row is not None:
                yield from parse_article(row, item, number, errors) if is_article(row) else [(number, row)]
        cursor.check_end()
    except json.JSONDecodeError as error:
        _add_syntax_error(errors, text, error, first_line=1)


class _Decoder:
    """A JSON decoder that adds repeated keys (J04) and NaN or infinity (J05) to the errors and goes on."""

    def __init__(self, errors: FileErrors) -> None:
        self._errors = errors
        self._line = 0
        self._json = json.JSONDecoder(
            object_pairs_hook=self._make_object,
            parse_constant=self._reject_constant,
            parse_float=self._parse_float,
        )

    def decode(self, text: str, position: int, *, line: int) -> tuple[Any, int]:
        """Decode the value that begins at a position and return (value, position after it).

        Raises JSONDecodeError, also for too deep nesting and for numbers beyond Python's limit of 4300 digits.
        """
        self._line = line
        try:
            return self._json.raw_decode(text, position)
        except json.JSONDecodeError:
            raise
        except RecursionError:
            raise json.JSONDecodeError("nested too deeply", text, position) from None
        except ValueError:
            raise json.JSONDecodeError("number with too many digits", text, position) from None

    def _make_object(self, pairs: list[tuple[str, Any]]) -> Row:
        row = dict(pairs)
        if len(row) < len(pairs):
            keys = [key for key, _ in pairs]
            repeated = next(key for key in keys if keys.count(key) > 1)
            message = f'the key "{repeated}" appears twice in an object'
            self._errors.add("J04", message, "remove one of the two", line=self._line)
        return row

    def _reject_constant(self, name: str) -> None:
        self._errors.add("J05", f"{name} is not valid JSON", "write null or a number", line=self._line)

    def _parse_float(self, digits: str) -> float:
        number = float(digits)
        if math.isinf(number):
            message = f"the number {excerpt(digits, 0)} is too large"
            self._errors.add("J05", message, "write a smaller number, or null", line=self._line)
        return number


class _Cursor:
    """A position in a document that moves over white space, brackets, commas and values."""

    def __init__(self, text: str, decoder: _Decoder) -> None:
        self.text, self.position = text, _skip_space(text, 0)
        self._decoder = decoder
        self._line, self._counted = 1, 0  # the line number at the position `_counted`

    def at(self, mark: str) -> bool:
        """Return whether `mark` comes next."""
        return self.text.startswith(mark, self.position)

    def take(self, mark: str) -> None:
        """Move behind a mark of one character. Raises JSONDecodeError when something else comes next."""
        if not self.at(mark):
            raise json.JSONDecodeError(f"Expecting '{mark}' delimiter", self.text, self.position)
        self.position = _skip_space(self.text, self.position + 1)

    def line(self) -> int:
        """Return the line number of the position."""
        self._line += self.text.count("\n", self._counted, self.position)
        self._counted = self.position
        return self._line

    def take_value(self) -> Any:
        """Decode the next value and move behind it. Raises JSONDecodeError."""
        value, end = self._decoder.decode(self.text, self.position, line=self.line())
        self.position = _skip_space(self.text, end)
        return value

    def check_end(self) -> None:
        """Raise JSONDecodeError when there is text left."""
        if self.position != len(self.text):
            raise json.JSONDecodeError("Extra data", self.text, self.position)


Item = tuple[int, int, Any]  # line number, position where it begins, value


def _read_items(cursor: _Cursor) -> Iterator[Item]:
    """Yield the items of a list."""
    cursor.take("[")
    while not cursor.at("]"):
        line, start = cursor.line(), cursor.position
        yield line, start, cursor.take_value()
        if cursor.at("]"):
            break
        cursor.take(",")
        if cursor.at("]"):
            raise json.JSONDecodeError("Expecting value", cursor.text, cursor.position)
    cursor.take("]")


def _read_items_under_data(cursor: _Cursor, errors: FileErrors) -> Iterator[Item]:
    """Yield the items of the list under the key "data"; skip the document's other keys."""
    has_data = False
    for _, _, key in _read_keys(cursor):
        if key == "data" and cursor.at("["):
            has_data = True
            yield from _read_items(cursor)
        else:
            cursor.take_value()
    if cursor.at("{"):
        message = "this is one JSON object per line, not a JSON document"
        errors.fail("F04", message, "rename it to .jsonl")
    if not has_data:
        fix = 'put the rows in a list: [{...}, {...}], or {"data": [...]}'
        errors.add("J03", "the file is one object, not a list of rows", fix, line=1)


def _read_keys(cursor: _Cursor) -> Iterator[tuple[int, int, str]]:
    """Yield (line number, position, key) for each member of an object; the caller must take its value."""
    cursor.take("{")
    while not cursor.at("}"):
        if not cursor.at('"'):
            message = "Expecting property name enclosed in double quotes"
            raise json.JSONDecodeError(message, cursor.text, cursor.position)
        line, start = cursor.line(), cursor.position
        key = cursor.take_value()
        cursor.take(":")
        yield line, start, key
        if not cursor.at("}"):
            cursor.take(",")
            if cursor.at("}"):
                raise json.JSONDecodeError("Expecting property name", cursor.text, cursor.position)
    cursor.take("}")


def _check_row(value: object, text: str, line: int, errors: FileErrors) -> Row | None:
    """Return the value when it is an object without lone surrogates, else add J03 or J11 and return None.

    A text with its annotations in a list, ["Anna slept", {"entities": [...]}], as in training data of spaCy 2, becomes
    an object with the key "text".
    """
    if (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], dict)
    ):
        value = {"text": value[0], **value[1]} if "entities" in value[1] else value
    if not isinstance(value, dict):
        message = f"expected an object, got {_TYPE_NAMES[type(value)]}"
        errors.add("J03", message, 'write {"column": value, ...}', line=line)
        return None
    if "\\u" in text and (escape := _find_lone_surrogate(value, text)):
        message = f"{escape} is half of a surrogate pair and not a character"
        errors.add("J11", message, "remove or repair it", line=line)
        return None
    return value


def _find_lone_surrogate(row: Row, text: str) -> str | None:
    """Return the escape of a lone surrogate as it is written in the text."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        match = _LONE_SURROGATE.search(text)
        return match.group() if match else f"\\u{ord(error.object[error.start]):04x}"
    return None


def _add_syntax_error(errors: FileErrors, text: str, error: json.JSONDecodeError, *, first_line: int) -> None:
    """Add a syntax error: J02 for single quotes and trailing commas, J01 for all others."""
    position, code = error.pos, "J02"
    before = text[:position].rstrip()
    comma = position if text[position : position + 1] == "," else len(before) - 1
    if text[position : position + 1] == "'":
        message, fix = "JSON needs double quotes instead of single quotes", 'write "..."'
    elif text[comma : comma + 1] == "," and text[_skip_space(text, comma + 1) :][:1] in ("}", "]"):
        position, message, fix = comma, "a comma before the closing bracket", "remove the comma"
    else:
        code, message, fix = (
            "J01",
            f"invalid JSON ({error.msg[:1].lower()}{error.msg[1:]})",
            "correct it there",
        )
    line = first_line + text.count("\n", 0, position)
    column = position - text.rfind("\n", 0, position)
    message = f"{message} near `{excerpt(text, position)}`" if text.strip() else message
    errors.add(code, message, fix, line=line, column=column)


def _skip_space(text: str, position: int) -> int:
    """Return the position of the next character that is not JSON white space."""
    match = _SPACE.match(text, position)
    return match.end() if match else position
