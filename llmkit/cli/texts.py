"""Texts from the command line, a file or a pipe, for `predict` and `embed`. Faults are told with their place."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmkit.data.findings import Findings

__all__ = ["examples", "plain", "whole"]


def plain(texts: Sequence[str], file: Path | None, command: str) -> Iterable[str]:
    """Single texts: those given, else the lines (or the text column) of the file, else the lines of stdin."""
    found = examples(["text"], {}, texts, file, command)
    return (example["text"] for example in found)


def examples(
    inputs: Sequence[str], columns: Mapping[str, str], texts: Sequence[str], file: Path | None, command: str
) -> Iterable[dict[str, str]]:
    """Examples of one text, or of several as one input: `inputs` are the names of their texts.

    Given texts are taken in groups; a line of a file or of stdin has them between tabs; a data file has a column for
    each, named as here or as in the data that the model was trained on (columns).
    """
    from llmkit.errors import Problem, RecipeError

    if texts and file:
        raise RecipeError(Problem("U01", "--file", "texts are given as well", "give one of the two"))
    if texts:
        return _groups(inputs, [_checked(text, f"text {number}") for number, text in enumerate(texts, 1)])
    if file is not None:
        return _from_file(inputs, columns, file)
    if sys.stdin is None or sys.stdin.isatty():
        fix = "write texts behind the run, or use --file or a pipe"
        raise RecipeError(Problem("U01", command, "no text", fix))
    return _from_stdin(inputs)


def whole(file: Path) -> str:
    """A text file as one text."""
    from llmkit.data.findings import Findings

    findings = Findings(str(file))
    _check_file(file, findings)
    text = "".join(line for _, line in _lines(file, findings))
    findings.raise_any()
    if not text.strip():
        findings.stop("L03", "the text is empty or blank", "name another file")
    return text


def _groups(inputs: Sequence[str], texts: Sequence[str]) -> list[dict[str, str]]:
    from llmkit.errors import Problem, RecipeError

    size = len(inputs)
    if len(texts) % size:
        message = f"{len(texts)} texts can't be taken in groups of {size} ({', '.join(inputs)})"
        raise RecipeError(Problem("U01", "TEXT", message, "give them in that order"))
    return [dict(zip(inputs, texts[at : at + size], strict=True)) for at in range(0, len(texts), size)]


def _from_stdin(inputs: Sequence[str]) -> Iterator[dict[str, str]]:
    """One example a line."""
    assert isinstance(sys.stdin, TextIOWrapper)  # what it is outside of tests and notebooks
    sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape")
    for number, line in enumerate(sys.stdin, 1):
        yield _fields(inputs, _checked(line.rstrip("\r\n"), f"stdin:{number}"), f"stdin:{number}")


def _checked(text: str, place: str) -> str:
    """Bytes that are not UTF-8 come as lone surrogates, from the command line and from stdin."""
    from llmkit.errors import DataError, Problem

    if any("\ud800" <= character <= "\udfff" for character in text):
        raise DataError(Problem("F07", place, "the text is not UTF-8", "convert it, e.g. with iconv"))
    return text


def _fields(inputs: Sequence[str], line: str, place: str) -> dict[str, str]:
    from llmkit.errors import DataError, Problem

    if len(inputs) == 1:
        return {inputs[0]: line}
    texts = line.split("\t")
    if len(texts) != len(inputs):
        message = f"{len(texts)} texts between tabs, not {len(inputs)} ({', '.join(inputs)})"
        raise DataError(Problem("J07", place, message, "put one tab between two texts"))
    return dict(zip(inputs, texts, strict=True))


def _from_file(inputs: Sequence[str], columns: Mapping[str, str], file: Path) -> list[dict[str, str]]:
    """Lines of a text file, or columns of a data file; read whole, so that its faults come first."""
    from llmkit.data.findings import Findings
    from llmkit.data.readers import data_suffix

    findings = Findings(str(file))
    _check_file(file, findings)
    if data_suffix(file.name):
        found = list(_rows(inputs, columns, file, findings))
    else:
        found = [
            _fields(inputs, line.rstrip("\r\n"), f"{file}:{number}")
            for number, line in _lines(file, findings)
        ]
    findings.raise_any()
    return found


def _check_file(file: Path, findings: Findings) -> None:
    if not file.is_file():
        findings.stop("F01", "no such file", "correct the path")


def _rows(
    inputs: Sequence[str], columns: Mapping[str, str], file: Path, findings: Findings
) -> Iterator[dict[str, str]]:
    from llmkit.data.readers import rows
    from llmkit.recipe.schema import Data

    for number, row in rows(file, Data(), findings):
        found = {name: row.get(name, row.get(columns.get(name, name))) for name in inputs}
        given = {name: text for name, text in found.items() if isinstance(text, str)}
        for name in found.keys() - given.keys():
            message = f'the row has no "{name}", or not as a string'
            findings.add("L02", message, "write one there", line=number)
        if given.keys() == found.keys():
            yield given


def _lines(file: Path, findings: Findings) -> Iterator[tuple[int, str]]:
    from llmkit.data.lines import read_lines, unheard
    from llmkit.recipe.schema import Data

    data = Data()
    return read_lines(file, findings, encoding=data.encoding, limit=data.max_line_bytes, moved=unheard)
