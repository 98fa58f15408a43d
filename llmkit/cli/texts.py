"""Read the inputs of `predict` and `embed` from the command line, a file or a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmkit.data.reading.file_errors import FileErrors

__all__ = ["read_document", "read_examples", "read_texts"]


def read_texts(texts: Sequence[str], file: Path | None, command: str) -> Iterable[str]:
    """Read single texts from the arguments, else from the lines (or text column) of the file, else from stdin."""
    return (example["text"] for example in read_examples(["text"], {}, texts, file, command))


def read_examples(
    inputs: Sequence[str], columns: Mapping[str, str], texts: Sequence[str], file: Path | None, command: str
) -> Iterable[dict[str, str]]:
    """Read examples that have one or several texts each.

    Args:
        inputs: Names of the texts of an example, such as ["text"] or ["question", "context"].
        columns: Column of a data file for each input, as in the training data. The input's own name works too.
        texts: Arguments of the command line, taken in groups of len(inputs).
        file: A text file (one example per line, texts separated by tabs; a blank line is a blank example), or a data
            file with a column per input. Without texts and file, lines are read from stdin.
        command: The command's name, for error messages.

    Raises:
        RecipeError: U01, for options that contradict each other or for no input at all.
        DataError: For errors in the file, all at once.
    """
    from llmkit.base.errors import RecipeError

    if texts and file:
        raise RecipeError(
            "U01", "--file", "cannot be combined with texts on the command line", "use one of the two"
        )
    if texts:
        size = len(inputs)
        if len(texts) % size:
            count = "1 text" if len(texts) == 1 else f"{len(texts)} texts"
            message = f"{count} given, but each example of this model needs {size} ({', '.join(inputs)})"
            fix = f"give {' and '.join(inputs)} for each example"
            fix += ", or name its file with --context" if "context" in inputs else ""
            raise RecipeError("U01", "TEXT", message, fix)
        checked = [_check_unicode(text, f"text {number}") for number, text in enumerate(texts, 1)]
        groups = (checked[start : start + size] for start in range(0, len(texts), size))
        return [dict(zip(inputs, group, strict=True)) for group in groups]
    if file is not None:
        return _read_file(inputs, columns, file)
    if sys.stdin is None or sys.stdin.isatty():
        fix = "add texts after the run, or use --file or a pipe"
        raise RecipeError("U01", command, "no input", fix)
    return _read_stdin(inputs)


def read_document(file: Path) -> str:
    """Read a text file as one text."""
    from llmkit.data.reading.file_errors import FileErrors

    errors = FileErrors(str(file))
    _check_file(file, errors)
    text = "".join(line for _, line in _read_lines(file, errors))
    errors.raise_if_any()
    if not text.strip():
        errors.fail("L03", "the text is empty or blank", "name another file")
    return text


def _read_stdin(inputs: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield one example per line of stdin, as lines arrive."""
    from llmkit.data.reading.file_errors import FileErrors

    assert isinstance(sys.stdin, TextIOWrapper)  # notebooks replace stdin, but have no pipe to read from
    sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape")
    for number, line in enumerate(sys.stdin, 1):
        errors = FileErrors("stdin")
        example = _split_line(inputs, _check_unicode(line.rstrip("\r\n"), f"stdin:{number}"), number, errors)
        errors.raise_if_any()
        yield example


def _check_unicode(text: str, place: str) -> str:
    """Return the text if it was UTF-8. Python represents other bytes of arguments and stdin as lone surrogates.

    Raises:
        DataError: F07.
    """
    from llmkit.base.errors import DataError

    if any("\ud800" <= character <= "\udfff" for character in text):
        raise DataError("F07", place, "the text is not UTF-8", "convert it, e.g. with iconv")
    return text


def _split_line(inputs: Sequence[str], line: str, number: int, errors: FileErrors) -> dict[str, str]:
    """Split a line into the texts of an example.

    A blank line gives blank texts, so that predictions keep their line numbers.
    """
    if len(inputs) == 1:
        return {inputs[0]: line}
    texts = line.split("\t") if line.strip() else [""] * len(inputs)
    if len(texts) != len(inputs):
        count = "no tab" if len(texts) == 1 else f"{len(texts)} texts between tabs"
        message = f"{count}, but each example of this model needs {len(inputs)} ({', '.join(inputs)})"
        errors.add("J07", message, "separate the texts by one tab", line=number)
    return dict(zip(inputs, texts, strict=False))


def _read_file(inputs: Sequence[str], columns: Mapping[str, str], file: Path) -> list[dict[str, Any]]:
    """Read a text file or a data file completely, so that errors come before any prediction."""
    from llmkit.data.reading.file_errors import FileErrors
    from llmkit.data.reading.readers import PLAIN_TEXT, data_suffix, read_rows
    from llmkit.recipe.schema import Data

    errors = FileErrors(str(file))
    _check_file(file, errors)
    examples: list[dict[str, Any]] = []
    if data_suffix(file.name) in (None, PLAIN_TEXT):
        for number, line in _read_lines(file, errors):
            examples.append(_split_line(inputs, line.rstrip("\r\n"), number, errors))
        errors.raise_if_any()
        return examples
    for number, row in read_rows(file, Data(), errors):
        example: dict[str, Any] = {}
        for name in inputs:
            # The column of the training data comes first: this may be a file of the same data set.
            column = columns.get(name, name)
            text = row.get(column if column in row else name)
            if isinstance(text, str) or (column == "messages" and isinstance(text, list) and text):
                example[name] = text
            else:
                alternative = f' or "{column}"' if column != name else ""
                message = f'the row has no string in column "{name}"{alternative}'
                errors.add("L02", message, "add the text", line=number)
        examples.append(example)
    errors.raise_if_any()
    return examples


def _check_file(file: Path, errors: FileErrors) -> None:
    if not file.is_file():
        errors.fail("F01", "no such file", "correct the path")


def _read_lines(file: Path, errors: FileErrors) -> Iterator[tuple[int, str]]:
    from llmkit.data.reading.lines import ignore_progress, read_lines
    from llmkit.recipe.schema import Data

    data = Data()
    return read_lines(
        file, errors, encoding=data.encoding, limit=data.max_line_bytes, report_bytes=ignore_progress
    )
