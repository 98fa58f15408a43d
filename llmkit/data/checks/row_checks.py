"""Faults of texts and labels, found before any training: pure functions from a Corpus to problems.

Each returns all it finds; the task raises them together. Where the recipe says so (`data.empty_text=drop`,
...) the rows are dropped instead, and the notes count them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import MAX_LINES, ErrorDetail, some
from llmkit.data.checks.duplicates import check_duplicates, near_duplicates
from llmkit.data.checks.labels import (
    all_integers,
    in_order,
    label_ids,
    labels_of,
    name_of_label,
    numbers_of,
    rows_by_label,
)
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.recipe.schema import Data
from llmkit.text.normalize import canonical

__all__ = [
    "check_all_texts",
    "check_duplicates",
    "check_texts",
    "drop_unknown_labels",
    "label_ids",
    "label_marks",
    "label_names",
    "label_set",
    "near_duplicates",
    "numbers",
]

LARGEST = float(np.finfo(np.float32).max)  # of the numbers that a model is trained on


def check_texts(corpus: Corpus, column: str, data: Data) -> tuple[Corpus, list[ErrorDetail], list[str]]:
    """Every text must be a string (L02) that is not blank (L03, or dropped if data.empty_text=drop).

    Returns what is left, the problems, and notes on what was dropped.
    """
    problems: list[ErrorDetail] = []
    notes: list[str] = []
    blank: dict[str, NDArray[np.bool_]] = {}
    for name, part in corpus.splits.items():
        texts = part.column(column)
        problems += _not_strings(part, column, texts)
        blank[name] = np.array([isinstance(text, str) and _is_blank(text) for text in texts], bool)
        rows = np.flatnonzero(blank[name])
        if not len(rows):
            continue
        if data.empty_text == "drop" and len(rows) < len(part):
            notes.append(f"{name}: {format_row_count(len(rows))} dropped, {column} empty or blank")
        else:
            message = f'{format_row_count(len(rows))} with an empty or blank "{column}"{_also(part, rows)}'
            fix = "fill in a text, or set data.empty_text=drop"
            problems.append(ErrorDetail("L03", part.place(int(rows[0])), message, fix))
    return (corpus if problems else corpus.drop_rows(blank)), problems, notes


def check_all_texts(
    corpus: Corpus, columns: Sequence[str], data: Data
) -> tuple[Corpus, list[ErrorDetail], list[str]]:
    """`check_texts` for several columns, such as the two texts of a pair."""
    problems: list[ErrorDetail] = []
    notes: list[str] = []
    for column in columns:
        corpus, found, said = check_texts(corpus, column, data)
        problems += found
        notes += said
    return corpus, problems, notes


def label_names(
    corpus: Corpus, column: str, data: Data, known: Sequence[str] | None = None
) -> tuple[tuple[str, ...], list[ErrorDetail]]:
    """The classes in the order of their numbers, and all that is wrong with the labels: L04-L08, L10.

    The names are `known` (those of a trained model), or data.labels, or the distinct labels of the training
    rows. Unseen labels in validation and test are no problem if data.unknown_labels=drop: see
    `drop_unknown_labels`.
    """
    problems = [problem for part in corpus.splits.values() for problem in _no_labels(part, column)]
    labels = {name: labels_of(part, column) for name, part in corpus.splits.items()}
    given = tuple(known or data.labels or ())
    problems += _doubled(given)
    seen = labels["train"] if "train" in labels else [label for part in labels.values() for label in part]
    names = given or in_order(label for label in seen if label is not None)
    if "train" in corpus.splits and not known:
        problems += _check_classes(corpus.splits["train"], labels["train"], spelling=not given)
    source = "labels of the model" if known else "labels of data.labels" if given else "training labels"
    for name, part in corpus.splits.items():
        drop = data.unknown_labels == "drop" and name != "train"
        fix = "correct it, or set data.unknown_labels=drop"
        unknown = _Unknown(names, source, bool(given), "correct it" if name == "train" else fix)
        problems += unknown.problems(part, labels[name], drop=drop)
    return names, problems


def drop_unknown_labels(
    corpus: Corpus, column: str, names: Sequence[str], data: Data
) -> tuple[Corpus, list[str]]:
    """If data.unknown_labels=drop: without the validation and test rows with a label that is none of the names."""
    if data.unknown_labels == "error":
        return corpus, []
    known, several = numbers_of(names), set(names)  # of multi-label rows only the names themselves count
    dropped = {
        name: np.array(
            [
                not several.issuperset(value)
                if isinstance(value, list)
                else name_of_label(value) not in known
                for value in part.column(column)
            ],
            bool,
        )
        for name, part in corpus.splits.items()
        if name != "train"
    }
    notes = [
        f"{name}: {format_row_count(int(mask.sum()))} dropped, label not among the {len(names)} known"
        for name, mask in dropped.items()
        if mask.any()
    ]
    return corpus.drop_rows(dropped), notes


def numbers(corpus: Corpus, column: str) -> tuple[dict[str, NDArray[np.float32]], list[ErrorDetail]]:
    """part -> the numbers (rows,) of a column; L04 where there is none, L10 where it is no finite number, L08.

    Strings that spell a number count, since CSV knows nothing else.
    """
    problems: list[ErrorDetail] = []
    found: dict[str, NDArray[np.float32]] = {}
    for name, part in corpus.splits.items():
        values = part.column(column)
        read = [_number(value) for value in values]
        empty = [row for row, value in enumerate(values) if _is_empty(value)]
        other = [row for row, number in enumerate(read) if number is None and not _is_empty(values[row])]
        if empty:
            message = (
                f'{format_row_count(len(empty))} without "{column}" (null, NaN or empty){_also(part, empty)}'
            )
            problems.append(
                ErrorDetail("L04", part.place(empty[0]), message, "write the number, or remove the row")
            )
        if other:
            message = f'"{column}" is "{_short(values[other[0]])}", not a number{_also(part, other)}'
            problems.append(ErrorDetail("L10", part.place(other[0]), message, "write a number"))
        found[name] = np.array([np.nan if number is None else number for number in read], np.float32)
        if name == "train" and len(set(read)) == 1 and read[0] is not None:
            message = (
                f'all {format_row_count(len(part))} of the training part have the "{column}" {read[0]:g}'
            )
            problems.append(ErrorDetail("L08", part.place(0), message, "add rows with other numbers"))
    return found, problems


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or "_" in str(value):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) <= LARGEST else None


def label_set(
    corpus: Corpus, column: str, data: Data, known: Sequence[str] | None = None
) -> tuple[tuple[str, ...], list[ErrorDetail]]:
    """The labels of multi-label rows in the order of their numbers; L10 where a row has no list of strings, L05-L08.

    The names are `known` (those of a trained model), or data.labels, or those of the training rows. Unseen labels in
    validation and test are no problem if data.unknown_labels=drop: see `drop_unknown_labels`.
    """
    problems = [problem for part in corpus.splits.values() for problem in _no_lists(part, column)]
    if problems:
        return (), problems
    given = tuple(known or data.labels or ())
    parts = [corpus.splits["train"]] if "train" in corpus.splits else list(corpus.splits.values())
    names = given or in_order(label for part in parts for labels in part.column(column) for label in labels)
    source = "labels of the model" if known else "labels of data.labels" if given else "training labels"
    if not names:
        return (), [ErrorDetail("L08", parts[0].place(0), "no row has a label", "add rows with labels")]
    if not given:
        problems += [problem for part in parts for problem in _spellings(part, _rows_of(part, column))]
    problems += _doubled(given)
    for name, part in corpus.splits.items():
        rows = {label: where for label, where in _rows_of(part, column).items() if label not in names}
        faulty = {row for where in rows.values() for row in where}
        if name != "train" and data.unknown_labels == "drop" and len(faulty) < len(part):
            continue
        fix = "correct it" if name == "train" else "correct it, or set data.unknown_labels=drop"
        unknown = _Unknown(names, source, bool(given), fix)
        problems += [unknown._problem(part, label, where) for label, where in rows.items()]
    return names, problems


def _rows_of(part: Split, column: str) -> dict[str, list[int]]:
    """Label -> the rows that have it, in order of first appearance, where a row has a list of labels."""
    rows: dict[str, list[int]] = {}
    for row, labels in enumerate(part.column(column)):
        for label in dict.fromkeys(labels):
            rows.setdefault(label, []).append(row)
    return rows


def _doubled(given: Sequence[str]) -> list[ErrorDetail]:
    doubled = [name for name in given if given.count(name) > 1]
    return [ErrorDetail("L07", "data.labels", f'names "{doubled[0]}" twice', "remove one")] if doubled else []


def label_marks(part: Split, column: str, names: Sequence[str]) -> NDArray[np.float32]:
    """1 where a row has a label, else 0: (rows, labels)."""
    marks = np.zeros((len(part), len(names)), np.float32)
    numbers = {name: number for number, name in enumerate(names)}
    for row, labels in enumerate(part.column(column)):
        marks[row, [numbers[label] for label in labels]] = 1
    return marks


def _no_lists(part: Split, column: str) -> Iterator[ErrorDetail]:
    """L10: rows whose labels are no list of strings."""
    values = part.column(column)
    other = [
        row
        for row, value in enumerate(values)
        if not (isinstance(value, list) and all(isinstance(label, str) and label.strip() for label in value))
    ]
    if other:
        message = f'"{column}" is {_short(values[other[0]])}, not a list of labels{_also(part, other)}'
        yield ErrorDetail(
            "L10", part.place(other[0]), message, 'write a list of strings, such as ["a", "b"] or []'
        )


def _not_strings(part: Split, column: str, texts: Sequence[object]) -> list[ErrorDetail]:
    """L02, row by row; from errors.MAX_LINES on only counted."""
    rows = [row for row, text in enumerate(texts) if not isinstance(text, str)]
    problems = []
    for row in rows[:MAX_LINES]:
        what = "null" if texts[row] is None else f"{_short(texts[row])}, not a string"
        problems.append(ErrorDetail("L02", part.place(row), f'"{column}" is {what}', "write a text there"))
    if len(rows) > MAX_LINES:
        message = f'{format_row_count(len(rows) - MAX_LINES)} more whose "{column}" is no text'
        problems.append(ErrorDetail("L02", part.place(rows[MAX_LINES]), message, "write a text there"))
    return problems


def _is_blank(text: str) -> bool:
    """Nothing to be seen: white space, zero-width and control characters only."""
    return not any(c.isprintable() and not c.isspace() for c in text)


def _no_labels(part: Split, column: str) -> Iterator[ErrorDetail]:
    """L04 null, NaN or empty labels; L10 values that can't name a class."""
    values = part.column(column)
    empty = [row for row, value in enumerate(values) if _is_empty(value)]
    other = [row for row, v in enumerate(values) if not _is_empty(v) and name_of_label(v) is None]
    if empty:
        message = f"{format_row_count(len(empty))} without a label (null, NaN or empty){_also(part, empty)}"
        yield ErrorDetail("L04", part.place(empty[0]), message, "write the label, or remove the row")
    if other:
        kind = {float: "a float", list: "a list", dict: "an object"}.get(type(values[other[0]]), "no label")
        message = f"label {_short(values[other[0]])} is {kind}, not a class{_also(part, other)}"
        yield ErrorDetail("L10", part.place(other[0]), message, "write integers or strings")


def _is_empty(value: object) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not value.strip())


def _check_classes(part: Split, labels: list[str | None], *, spelling: bool) -> list[ErrorDetail]:
    """L08 a single class; L07 names that differ only by case or space (if the user did not give them)."""
    rows = rows_by_label(labels)
    if len(rows) == 1:
        message = (
            f'all {format_row_count(len(part))} of the training part have the label "{next(iter(rows))}"'
        )
        return [ErrorDetail("L08", part.place(0), message, "add rows of another class")]
    return list(_spellings(part, rows)) if spelling else []


def _spellings(part: Split, rows: Mapping[str, list[int]]) -> Iterator[ErrorDetail]:
    """L07: one problem for each group, at the first row of its rarest spelling."""
    groups: dict[str, list[str]] = {}
    for label in rows:
        groups.setdefault(canonical(label), []).append(label)
    for group in groups.values():
        if len(group) > 1:
            group.sort(key=lambda label: (len(rows[label]), -rows[label][0]))
            said = [
                f'"{name}" ({format_row_count(len(rows[name]))}, {part.place(rows[name][0])})'
                for name in group
            ]
            message = f"labels that differ only by case or space: {some(said)}"
            fix = "write them the same way, or name each in data.labels"
            yield ErrorDetail("L07", part.place(rows[group[0]][0]), message, fix)


class _Unknown:
    """L05, and L06 for integers: one problem for each label that is none of the names."""

    def __init__(self, names: Sequence[str], source: str, given: bool, fix: str) -> None:
        self.names, self.source, self.fix = names, source, fix
        self.by_number = given and not all_integers(names)  # integers may stand for names
        self.numbered = self.by_number or set(names) == {str(number) for number in range(len(names))}
        self.known = numbers_of(names) if self.by_number else dict.fromkeys(names, 0)

    def problems(self, part: Split, labels: list[str | None], *, drop: bool) -> list[ErrorDetail]:
        """drop: such rows will be dropped; then only these are faults: all rows, or numbers beside names."""
        rows = {name: where for name, where in rows_by_label(labels).items() if name not in self.known}
        if drop and sum(map(len, rows.values())) < len(part):
            mixed = not self.by_number and not all_integers(self.names)
            rows = {name: where for name, where in rows.items() if mixed and all_integers([name])}
        found = rows.items() if self.names else ()
        return [self._problem(part, label, where) for label, where in islice(found, MAX_LINES + 1)]

    def _problem(self, part: Split, label: str, rows: list[int]) -> ErrorDetail:
        if self.numbered and all_integers([label]):
            message = f"label {label} is outside 0 to {len(self.names) - 1}"
            return ErrorDetail("L06", part.place(rows[0]), message + _also(part, rows), self.fix)
        near = get_close_matches(label, self.names, n=1)
        near = near or [name for name in self.names if canonical(name) == canonical(label)]
        hint = f'closest: "{near[0]}"' if near else f"they are: {some(self.names)}"
        message = f'label "{label}" is not one of the {len(self.names)} {self.source} ({hint})'
        return ErrorDetail("L05", part.place(rows[0]), message + _also(part, rows), self.fix)


def _also(part: Split, rows: Sequence[int] | NDArray[np.int64]) -> str:
    """`, also at a.csv:9, a.csv:12 and 3 more`: all rows but the first, which is the problem's place."""
    return f", also at {some(part.place(int(row)) for row in rows[1:])}" if len(rows) > 1 else ""


def _short(value: object) -> str:
    return str(value)[:40]
