"""From rows to what a metric compares: labels, numbers, texts, answers, tags or log-probabilities.

    read_predictions(table, "texts")     ["a cat sat", ...]
    read_references([table], "texts")        [["the cat sat", "a cat was sitting"], ...]

The column is the one that the user names, else the first of COLUMNS that the file has. A value is never guessed at:
one of another kind is error E07 at its line. A plain text file holds one value a line; tags and numbers of a
sentence are separated by blanks there and in csv.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any, NoReturn

import numpy as np

from llmkit.base.errors import DataError, closest, some
from llmkit.data.reading.scored_files import Table
from llmkit.metrics.registry import Kind
from llmkit.metrics.score import Ints
from llmkit.text import tags as tag_schemes

__all__ = ["check_same_words", "convert_to_iob2", "number_passages", "read_predictions", "read_references"]

# Names of columns, the surest first. A plain text file has the one column "text".
PREDICTED = ("prediction", "predictions", "predicted", "hypothesis", "output", "value")
GOLD = ("references", "reference", "gold", "golds", "target", "targets", "value")
COLUMNS: Mapping[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "labels": ((*PREDICTED, "label", "text"), (*GOLD, "label", "labels", "text")),
    "numbers": ((*PREDICTED, "score", "label", "text"), (*GOLD, "score", "label", "labels", "text")),
    "texts": (
        (*PREDICTED, "summary", "translation", "target", "text"),
        (*GOLD, "summary", "translation", "output", "text"),
    ),
    "answers": (
        ("prediction_text", *PREDICTED, "answer", "text"),
        ("answers", *GOLD, "answer", "text"),
    ),
    "tags": (
        ("predicted_tags", *PREDICTED, "tags", "text"),
        ("tags", *GOLD, "ner_tags", "labels", "text"),
    ),
    "log_probabilities": (("log_probabilities", *PREDICTED, "text"), (*GOLD, "text")),
}
Tags = Sequence[Sequence[str]]
SEVERAL = ("texts", "answers")  # kinds with several references for an example


def read_predictions(table: Table, kind: Kind, column: str | None = None) -> list[Any]:
    """One value a row: a text or a float, for tags and log_probabilities a list. DataError E07."""
    read = {
        "labels": _label,
        "numbers": _number,
        "texts": _text,
        "answers": _text,
        "tags": _tags,
        "log_probabilities": _log_probabilities,
    }[kind]
    return _read(table, _column(table, column, COLUMNS[kind][0], "predictions"), read)


def read_references(tables: Sequence[Table], kind: Kind, column: str | None = None) -> list[Any]:
    """As `read_predictions`; texts and answers are lists of texts, those of all tables together. DataError E07, U01."""
    if len(tables) > 1 and kind not in SEVERAL:
        message = f"{kind.replace('_', '-')} have one reference each"
        raise DataError("U01", f"--references {tables[1].name}", message, "name one file")
    read = {
        "labels": _label,
        "numbers": _number,
        "texts": _texts,
        "answers": _answers,
        "tags": _tags,
        "log_probabilities": _text,
    }[kind]
    found = [_read(table, _column(table, column, COLUMNS[kind][1], "references"), read) for table in tables]
    return [[*chain(*row)] for row in zip(*found)] if kind in SEVERAL else found[0]


def number_passages(table: Table) -> Ints | None:
    """(N,), the number of each question's passage, where the file says on which passage a question is."""
    name = next((name for name in ("context", "group") if name in table.rows[0]), None)
    if name is None or any(row.get(name) is None for row in table.rows):
        return None
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(str(row[name]), len(numbers)) for row in table.rows], np.int64)


def check_same_words(
    predictions: Table, references: Table, predicted: Sequence[Any], gold: Sequence[Any]
) -> None:
    """Tags belong to words, so both sides must have as many, and the same ones where both have them. E07."""
    for number, (ours, theirs) in enumerate(zip(predicted, gold, strict=True)):
        if len(ours) != len(theirs):
            message = f"{len(ours)} tags, but {references.place(number)} has {len(theirs)}"
            _stop(predictions, number, message, "write one tag for each word")
        words, others = (table.rows[number].get("tokens") for table in (predictions, references))
        if isinstance(words, list) and isinstance(others, list) and words != others:
            here, there = next(pair for pair in zip_longest(words, others) if pair[0] != pair[1])
            message = f'has the word "{here}" where {references.place(number)} has "{there}"'
            _stop(predictions, number, message, "both files must hold the same sentences in the same order")


def convert_to_iob2(
    predictions: Tags, references: Tags, *, strict: bool
) -> tuple[list[list[str]], list[list[str]]]:
    """Both in IOB2 with the entities that conlleval reads, whatever their scheme; strict: as they are.

    Strict reading is to punish predictions whose entities do not begin with B-, so nothing may be repaired. It knows
    IOB2 alone: DataError E07 for other prefixes, and for references in IOB1.
    """
    rows = [*references, *predictions]
    if not strict:
        found = [tag_schemes.to_iob2(row) for row in rows]
        return found[len(references) :], found[: len(references)]
    other = next((tag for row in rows for tag in row if tag != "O" and tag[:2] not in ("B-", "I-")), None)
    if other or tag_schemes.detect(references) == "IOB1":
        what = f'"{other}" is none' if other else "the references are in IOB1, where an entity begins with I-"
        fix = "leave it out, or write the tags in IOB2"
        raise DataError("E07", "--strict", f"takes IOB2 tags, and {what}", fix)
    return [*map(list, predictions)], [*map(list, references)]


def _column(table: Table, named: str | None, known: Sequence[str], side: str) -> str:
    name = named or next((name for name in known if name in table.rows[0]), None)
    if name in table.rows[0]:
        return str(name)
    has = some([f'"{column}"' for column in table.columns], 12)
    message = (
        f'there is no column "{named}"{closest(named, table.columns)}'
        if named
        else f"no column of {side} is in it"
    )
    fix = f"name one of its columns with --column {side}=NAME; it has {has}"
    raise DataError("E07", table.name, message, fix)


def _read(table: Table, column: str, read: Callable[[Any], Any]) -> list[Any]:
    """The values of a column. What a value can't be read as is told with its line, and counted."""
    found, wrong = [], []
    for number, value in enumerate(table.values(column)):
        try:
            found.append(read(value))
        except _Wrong as error:
            wrong.append((number, error))
    if wrong:
        (number, first), more = wrong[0], len(wrong) - 1
        others = f" (and {more:,} more row{'' if more == 1 else 's'} like it)" if more else ""
        _stop(table, number, f'"{column}" {first}{others}', first.fix)
    return found


def _stop(table: Table, number: int, message: str, fix: str) -> NoReturn:
    raise DataError("E07", table.place(number), message, fix)


class _Wrong(Exception):
    """What a value is instead of what it should be, and what to do."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


def _label(value: Any) -> str:
    """Blanks around a label mean nothing; 1 and "1" are the same label, and so are true and "true"."""
    if not isinstance(value, str | int | float):
        raise _Wrong(f"is {_shown(value)}, not one label", "write a text or a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise _Wrong(f"is {value}, no label", "write a text or a number")
    label = str(value).lower() if isinstance(value, bool) else str(value).strip()
    if not label:
        raise _Wrong("is empty, no label", "write a label in each row, such as none")
    return label


def _number(value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        raise _Wrong(f"is {_shown(value)}, not a number", "write a number such as 0.5") from None
    if not math.isfinite(number):
        raise _Wrong(
            f"is {_shown(value)}, not a finite number", "write a number, or leave the row out of both files"
        )
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong(f"is {_shown(value)}, not a text", "write a text")
    return value


def _texts(value: Any) -> list[str]:
    """One reference or a list of them."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise _Wrong(f"is {_shown(value)}, neither a text nor a list of texts", "write the reference texts")
    if not texts:
        raise _Wrong("is an empty list", "write at least one reference text")
    return texts


def _answers(value: Any) -> list[str]:
    """A text, a list of texts (none: no answer), or SQuAD's {"text": [...], "answer_start": [...]}."""
    if isinstance(value, dict):
        value = value.get("text")
    return _texts(value) if value != [] else []


def _tags(value: Any) -> list[str]:
    found = value.split() if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(tag, str) for tag in found):
        raise _Wrong(f"is {_shown(value)}, not a list of tags", "write tags such as B-PER I-PER O")
    try:
        tag_schemes.types([found])
    except ValueError as error:
        raise _Wrong(f"holds what is no tag: {error}", "write tags such as B-PER I-PER O") from None
    return found


def _log_probabilities(value: Any) -> list[float]:
    """Natural logarithms, one a token."""
    found = value.split() if isinstance(value, str) else value
    if not isinstance(found, list):
        raise _Wrong(f"is {_shown(value)}, not a list of numbers", "write the tokens' log-probabilities")
    numbers = [_number(number) for number in found]
    if any(number > 0 for number in numbers):
        fix = "write natural logarithms of probabilities, which are 0 or less"
        raise _Wrong(f"holds {max(numbers):g}, the logarithm of a probability above 1", fix)
    return numbers


def _shown(value: Any) -> str:
    """The value as the message shows it, short."""
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
