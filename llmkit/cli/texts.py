"""Texts from the command line, a file or a pipe, for `predict` and `embed`. Faults are told with their place."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmkit.data.reading.file_errors import FileErrors

__all__ = ["examples", "plain", "whole"]


def plain(texts: Sequence[str], file: Path | None, command: str) -> Iterable[str]:
    """Single texts: those given, else the lines (or the text column) of the file, else the lines of stdin."""
    found = examples(["text"], {}, texts, file, command)
    return (example["text"] for example in found)


def examples(
    inputs: Sequence[str], columns: Mapping[str, str], texts: Sequence[str], file: Path | None, command: str
) -> Iterable[dict[str, str]]:
    """Examples of one text, or of several as one input: `inputs` are the names of their texts.

    Given texts are taken in groups; a line of a file or of stdin has them between tabs, and a blank line is an example
    of blank texts; a data file has a column for each, named as in the data that the model was trained on (columns), or
    as here.
    """
    from llmkit.base.errors import RecipeError

    if texts and file:
        raise RecipeError("U01", "--file", "texts are given as well", "give one of the two")
    if texts:
        return _groups(inputs, [_checked(text, f"text {number}") for number, text in enumerate(texts, 1)])
    if file is not None:
        return _from_file(inputs, columns, file)
    if sys.stdin is None or sys.stdin.isatty():
        fix = "write texts behind the run, or use --file or a pipe"
        raise RecipeError("U01", command, "no text", fix)
    return _from_stdin(inputs)


def whole(file: Path) -> str:
    """A text file as one text."""
    from llmkit.data.reading.file_errors import FileErrors

    errors = FileErrors(str(file))
    _check_file(file, errors)
    text = "".join(line for _, line in _lines(file, errors))
    errors.raise_if_any()
    if not text.strip():
        errors.fail("L03", "the text is empty or blank", "name another file")
    return text


def _groups(inputs: Sequence[str], texts: Sequence[str]) -> list[dict[str, str]]:
    from llmkit.base.errors import RecipeError

    size = len(inputs)
    if len(texts) % size:
        given = "1 text" if len(texts) == 1 else f"{len(texts)} texts"
        message = f"{given}, where this model reads {size} at a time ({', '.join(inputs)})"
        instead = ", or name its file with --context" if "context" in inputs else ""
        fix = f"give {' and '.join(inputs)} for each example{instead}"
        raise RecipeError("U01", "TEXT", message, fix)
    return [dict(zip(inputs, texts[at : at + size], strict=True)) for at in range(0, len(texts), size)]


def _from_stdin(inputs: Sequence[str]) -> Iterator[dict[str, str]]:
    """One example a line, as it comes."""
    from llmkit.data.reading.file_errors import FileErrors

    assert isinstance(sys.stdin, TextIOWrapper)  # what it is outside of tests and notebooks
    sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape")
    for number, line in enumerate(sys.stdin, 1):
        errors = FileErrors("stdin")
        found = _fields(inputs, _checked(line.rstrip("\r\n"), f"stdin:{number}"), number, errors)
        errors.raise_if_any()
        yield found


def _checked(text: str, place: str) -> str:
    """Bytes that are not UTF-8 come as lone surrogates, from the command line and from stdin."""
    from llmkit.base.errors import DataError

    if any("\ud800" <= character <= "\udfff" for character in text):
        raise DataError("F07", place, "the text is not UTF-8", "convert it, e.g. with iconv")
    return text


def _fields(inputs: Sequence[str], line: str, number: int, errors: FileErrors) -> dict[str, str]:
    """The texts of a line; of a blank one all are blank, so that answers keep the numbers of the lines."""
    if len(inputs) == 1:
        return {inputs[0]: line}
    texts = line.split("\t") if line.strip() else [""] * len(inputs)
    if len(texts) != len(inputs):
        found = "no tab" if len(texts) == 1 else f"{len(texts)} texts between tabs"
        message = f"{found}, where this model reads {len(inputs)} texts ({', '.join(inputs)})"
        errors.add("J07", message, "put one tab between two texts", line=number)
    return dict(zip(inputs, texts, strict=False))


def _from_file(inputs: Sequence[str], columns: Mapping[str, str], file: Path) -> list[dict[str, str]]:
    """Lines of a text file, or columns of a data file; read whole, so that its faults come first."""
    from llmkit.data.reading.file_errors import FileErrors
    from llmkit.data.reading.readers import PLAIN_TEXT, data_suffix

    errors = FileErrors(str(file))
    _check_file(file, errors)
    if data_suffix(file.name) not in (None, PLAIN_TEXT):
        found = list(_rows(inputs, columns, file, errors))
    else:
        found = [
            _fields(inputs, line.rstrip("\r\n"), number, errors) for number, line in _lines(file, errors)
        ]
    errors.raise_if_any()
    return found


def _check_file(file: Path, errors: FileErrors) -> None:
    if not file.is_file():
        errors.fail("F01", "no such file", "correct the path")


def _rows(
    inputs: Sequence[str], columns: Mapping[str, str], file: Path, errors: FileErrors
) -> Iterator[dict[str, Any]]:
    from llmkit.data.reading.readers import read_rows
    from llmkit.recipe.schema import Data

    for number, row in read_rows(file, Data(), errors):
        found: dict[str, Any] = {}
        for name in inputs:
            own = columns.get(name, name)  # the run's own column comes first: this may be a file of its data
            text = row.get(own if own in row else name)
            if isinstance(text, str) or (own == "messages" and isinstance(text, list) and text):
                found[name] = text
            else:
                also = f' (nor "{own}")' if own != name else ""
                message = f'the row has no "{name}"{also}, or not as a string'
                errors.add("L02", message, "write one there", line=number)
        if len(found) == len(inputs):
            yield found


def _lines(file: Path, errors: FileErrors) -> Iterator[tuple[int, str]]:
    from llmkit.data.reading.lines import ignore_progress, read_lines
    from llmkit.recipe.schema import Data

    data = Data()
    return read_lines(
        file, errors, encoding=data.encoding, limit=data.max_line_bytes, report_bytes=ignore_progress
    )
