"""Turn rows into the values that a metric compares: labels, numbers, texts, answers, tags or log-probabilities.

    read_predictions(table, "texts")     ["a cat sat", ...]
    read_references([table], "texts")    [["the cat sat", "a cat was sitting"], ...]

The column is the one that the user names, otherwise the first of COLUMNS that the file has. Values are never guessed: a
value of another kind is error E07 at its line. A plain text file has one value per line; there and in csv, the tags or
numbers of a sentence are separated by spaces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

import numpy as np

from llmkit.base.errors import DataError, shorten_list, suggest
from llmkit.data.reading.scored_files import Table
from llmkit.metrics.registry import Kind
from llmkit.metrics.score import Ints
from llmkit.text import tags as tag_schemes

__all__ = ["check_same_words", "convert_to_iob2", "number_passages", "read_predictions", "read_references"]

# Column names, in order of preference. A plain text file has the single column "text".
PREDICTIONS = ("prediction", "predictions", "predicted", "hypothesis", "output", "value")
REFERENCES = ("references", "reference", "gold", "golds", "target", "targets", "value")
# kind of value -> (column names of predictions, column names of references)
COLUMNS: Mapping[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "labels": ((*PREDICTIONS, "label", "text"), (*REFERENCES, "label", "labels", "text")),
    "numbers": ((*PREDICTIONS, "score", "label", "text"), (*REFERENCES, "score", "label", "labels", "text")),
    "texts": (
        (*PREDICTIONS, "summary", "translation", "target", "text"),
        (*REFERENCES, "summary", "translation", "output", "text"),
    ),
    "answers": (
        ("prediction_text", *PREDICTIONS, "answer", "text"),
        ("answers", *REFERENCES, "answer", "text"),
    ),
    "tags": (
        ("predicted_tags", *PREDICTIONS, "tags", "text"),
        ("tags", *REFERENCES, "ner_tags", "labels", "text"),
    ),
    "log_probabilities": (("log_probabilities", *PREDICTIONS, "text"), (*REFERENCES, "text")),
}
Tags = Sequence[Sequence[str]]
SEVERAL = ("texts", "answers")  # kinds that allow several references per example


def read_predictions(table: Table, kind: Kind, column: str | None = None) -> list[Any]:
    """Read one prediction per row: a text or a number; for tags and log_probabilities a list of them.

    Args:
        table: The predictions.
        kind: The kind of value that the metric compares.
        column: The column that the user names.

    Raises:
        DataError: E07 for a missing column and for a value of another kind.
    """
    parse = {
        "labels": _parse_label,
        "numbers": _parse_number,
        "texts": _parse_text,
        "answers": _parse_text,
        "tags": _parse_tags,
        "log_probabilities": _parse_log_probabilities,
    }[kind]
    return _parse_column(table, _find_column(table, column, COLUMNS[kind][0], "predictions"), parse)


def read_references(tables: Sequence[Table], kind: Kind, column: str | None = None) -> list[Any]:
    """Read one reference per row; for texts and answers the list of references from all tables.

    Args:
        tables: The references; several files only for kinds with several references per example.
        kind: The kind of value that the metric compares.
        column: The column that the user names.

    Raises:
        DataError: E07 for a missing column and for a value of another kind, U01 for too many files.
    """
    if len(tables) > 1 and kind not in SEVERAL:
        message = f"{kind.replace('_', '-')} can have only one reference per example"
        raise DataError("U01", f"--references {tables[1].name}", message, "name one file")
    parse = {
        "labels": _parse_label,
        "numbers": _parse_number,
        "texts": _parse_texts,
        "answers": _parse_answers,
        "tags": _parse_tags,
        "log_probabilities": _parse_text,
    }[kind]
    by_file = [
        _parse_column(table, _find_column(table, column, COLUMNS[kind][1], "references"), parse)
        for table in tables
    ]
    return [[*chain(*row)] for row in zip(*by_file)] if kind in SEVERAL else by_file[0]


def number_passages(table: Table) -> Ints | None:
    """Number the passage of each question, shape (N,); None when the file does not name the passages."""
    name = next((name for name in ("context", "group") if name in table.rows[0]), None)
    if name is None or any(row.get(name) is None for row in table.rows):
        return None
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(str(row[name]), len(numbers)) for row in table.rows], np.int64)


def check_same_words(
    predictions: Table, references: Table, predicted_tags: Sequence[Any], reference_tags: Sequence[Any]
) -> None:
    """Check that each pair of rows tags the same words.

    Both rows must have the same number of tags, and the same words if both files contain the words.

    Raises:
        DataError: E07 at the first row where they differ.
    """
    for number, (ours, theirs) in enumerate(zip(predicted_tags, reference_tags, strict=True)):
        place, other_place = predictions.place(number), references.place(number)
        if len(ours) != len(theirs):
            tags = f"{len(ours)} tag{'' if len(ours) == 1 else 's'}"
            message = f"the sentence has {tags}, but the one in {other_place} has {len(theirs)}"
            raise DataError("E07", place, message, "write one tag for each word")
        words, others = (table.rows[number].get("tokens") for table in (predictions, references))
        if isinstance(words, list) and isinstance(others, list) and words != others:
            here, there = next(pair for pair in zip_longest(words, others) if pair[0] != pair[1])
            message = f'the word is "{here}", but "{there}" in {other_place}'
            raise DataError("E07", place, message, "write the same sentences in the same order to both files")


def convert_to_iob2(
    predictions: Tags, references: Tags, *, strict: bool
) -> tuple[list[list[str]], list[list[str]]]:
    """Convert the tags of both sides to IOB2, with the entities that conlleval reads from any scheme.

    Args:
        predictions: The predicted tags of each sentence.
        references: The correct tags of each sentence.
        strict: Whether to return the tags unchanged, so that an entity that does not begin with B- counts as wrong.

    Returns:
        (predictions, references).

    Raises:
        DataError: E07 when `strict` is set and a tag has another prefix than B- or I-, or the references are in IOB1.
    """
    rows = [*references, *predictions]
    if not strict:
        converted = [tag_schemes.to_iob2(row) for row in rows]
        return converted[len(references) :], converted[: len(references)]
    other = next((tag for row in rows for tag in row if tag != "O" and tag[:2] not in ("B-", "I-")), None)
    if other or tag_schemes.detect_scheme(references) == "IOB1":
        why = f'"{other}" is not' if other else "the references are in IOB1, where an entity begins with I-"
        fix = "leave out --strict, or write the tags in IOB2"
        raise DataError("E07", "--strict", f"the tags must be in IOB2, but {why}", fix)
    return [*map(list, predictions)], [*map(list, references)]


def _find_column(table: Table, requested: str | None, candidates: Sequence[str], side: str) -> str:
    """Return the requested column, otherwise the first candidate that the file has. Raises DataError E07."""
    name = requested or next((name for name in candidates if name in table.columns), None)
    if name in table.columns:
        return str(name)
    columns = shorten_list([f'"{column}"' for column in table.columns], 12)
    message = (
        f'there is no column "{requested}"{suggest(requested, table.columns)}'
        if requested
        else f"there is no column of {side}"
    )
    fix = f"choose a column with --column {side}=NAME; the file has {columns}"
    raise DataError("E07", table.name, message, fix)


class _ValueError(Exception):
    """A value has the wrong kind; `fix` says what to write instead."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


def _parse_column(table: Table, column: str, parse: Callable[[Any], Any]) -> list[Any]:
    """Parse the values of a column. Raises DataError E07 at the first bad value, with the number of others."""
    values, bad = [], []
    for number, value in enumerate(table.values(column)):
        try:
            values.append(parse(value))
        except _ValueError as error:
            bad.append((number, error))
    if bad:
        (number, first), others = bad[0], len(bad) - 1
        more = f" (and {others:,} more row{'' if others == 1 else 's'} like it)" if others else ""
        raise DataError("E07", table.place(number), f'"{column}" {first}{more}', first.fix)
    return values


def _parse_label(value: object) -> str:
    """Parse a label. Spaces around it are ignored; 1 and "1" are the same label, and so are true and "true"."""
    if not isinstance(value, str | int | float):
        raise _ValueError(f"is {_shorten(value)}, not a single label", "write a text or a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise _ValueError(f"is {value}, not a label", "write a text or a number")
    label = str(value).lower() if isinstance(value, bool) else str(value).strip()
    if not label:
        raise _ValueError("is empty", "write a label in each row, such as none")
    return label


def _parse_number(value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        raise _ValueError(f"is {_shorten(value)}, not a number", "write a number such as 0.5") from None
    if not math.isfinite(number):
        fix = "write a number, or leave the row out of both files"
        raise _ValueError(f"is {_shorten(value)}, not a finite number", fix)
    return number


def _parse_text(value: object) -> str:
    if not isinstance(value, str):
        raise _ValueError(f"is {_shorten(value)}, not a text", "write a text")
    return value


def _parse_texts(value: object) -> list[str]:
    """Parse one reference text or a list of them."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        message = f"is {_shorten(value)}, not a text or a list of texts"
        raise _ValueError(message, "write the reference texts")
    if not texts:
        raise _ValueError("is an empty list", "write at least one reference text")
    return texts


def _parse_answers(value: Any) -> list[str]:
    """Parse a text, a list of texts (empty: no answer), or SQuAD's {"text": [...], "answer_start": [...]}."""
    if isinstance(value, dict):
        value = value.get("text")
    return _parse_texts(value) if value != [] else []


def _parse_tags(value: object) -> list[str]:
    tags = value.split() if isinstance(value, str) else value
    fix = "write tags such as B-PER I-PER O"
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise _ValueError(f"is {_shorten(value)}, not a list of tags", fix)
    try:
        tag_schemes.collect_types([tags])
    except ValueError as error:
        raise _ValueError(f"contains an invalid tag: {error}", fix) from None
    return tags


def _parse_log_probabilities(value: object) -> list[float]:
    """Parse the natural logarithms of the tokens' probabilities."""
    values = value.split() if isinstance(value, str) else value
    if not isinstance(values, list):
        fix = "write the tokens' log-probabilities"
        raise _ValueError(f"is {_shorten(value)}, not a list of numbers", fix)
    numbers = [_parse_number(number) for number in values]
    if any(number > 0 for number in numbers):
        fix = "write natural logarithms of probabilities, which are 0 or less"
        raise _ValueError(f"contains {max(numbers):g}, the logarithm of a probability above 1", fix)
    return numbers


def _shorten(value: object) -> str:
    """Format a value for a message, in at most 40 characters."""
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
