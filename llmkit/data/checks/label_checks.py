"""Check the labels of classification, one label per row, and of multi-label classification, a list per row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import MAX_LINES, ErrorDetail, shorten_list
from llmkit.data.checks.labels import (
    all_integers,
    get_label_name,
    group_rows,
    index_labels,
    is_missing,
    read_labels,
    sort_labels,
)
from llmkit.data.checks.row_errors import format_also_at, shorten
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.recipe.schema import Data
from llmkit.text.normalize import normalize_text

__all__ = ["build_label_indicators", "check_class_labels", "check_label_lists", "drop_unknown_labels"]


def check_class_labels(
    corpus: Corpus, column: str, data: Data, model_labels: Sequence[str] | None = None
) -> tuple[tuple[str, ...], list[ErrorDetail]]:
    """Find the names of the classes, and all errors of the labels.

    Args:
        corpus: The rows.
        column: The column of labels.
        data: With data.unknown_labels=drop, unknown labels in validation and test are not errors, unless all rows of a
            split have one: `drop_unknown_labels` drops these rows.
        model_labels: The labels of a trained model.

    Returns:
        The names in the order of the class numbers (model_labels, else data.labels, else the distinct labels of the
        training set), and the errors: L04-L08, L10.
    """
    errors = [error for split in corpus.splits.values() for error in _find_missing_labels(split, column)]
    labels = {name: read_labels(split, column) for name, split in corpus.splits.items()}
    listed = tuple(model_labels or data.labels or ())
    errors += _find_repeated_name(listed)
    seen = [labels["train"]] if "train" in labels else labels.values()
    names = listed or sort_labels(label for of_split in seen for label in of_split if label is not None)
    if "train" in corpus.splits and not model_labels:
        train, rows = corpus.splits["train"], group_rows(labels["train"])
        if len(rows) == 1:
            count = format_row_count(len(train))
            message = f'all {count} of the training set have the label "{next(iter(rows))}"'
            errors.append(ErrorDetail("L08", train.place(0), message, "add rows of another class"))
        elif not listed:
            errors += _find_spellings(train, rows)
    for name, split in corpus.splits.items():
        known = _KnownLabels(names, _describe_source(model_labels, data), bool(listed), _fix_unknown(name))
        drop = data.unknown_labels == "drop" and name != "train"
        errors += known.find_unknown(split, labels[name], drop=drop)
    return names, errors


def check_label_lists(
    corpus: Corpus, column: str, data: Data, model_labels: Sequence[str] | None = None
) -> tuple[tuple[str, ...], list[ErrorDetail]]:
    """Find the label names of multi-label rows, and all errors of the labels.

    Args and Returns are those of `check_class_labels`; L10 is a row that has no list of strings.
    """
    errors = [error for split in corpus.splits.values() for error in _find_non_lists(split, column)]
    if errors:
        return (), errors
    listed = tuple(model_labels or data.labels or ())
    splits = [corpus.splits["train"]] if "train" in corpus.splits else list(corpus.splits.values())
    names = listed or sort_labels(
        label for split in splits for labels in split.column(column) for label in labels
    )
    if not names:
        return (), [ErrorDetail("L08", splits[0].place(0), "no row has a label", "add rows with labels")]
    if not listed:
        errors += [
            error for split in splits for error in _find_spellings(split, _rows_of_labels(split, column))
        ]
    errors += _find_repeated_name(listed)
    for name, split in corpus.splits.items():
        unknown = {
            label: rows for label, rows in _rows_of_labels(split, column).items() if label not in names
        }
        affected = {row for rows in unknown.values() for row in rows}
        if name != "train" and data.unknown_labels == "drop" and len(affected) < len(split):
            continue
        known = _KnownLabels(names, _describe_source(model_labels, data), bool(listed), _fix_unknown(name))
        errors += [known.make_error(split, label, rows) for label, rows in unknown.items()]
    return names, errors


def drop_unknown_labels(
    corpus: Corpus, column: str, names: Sequence[str], data: Data
) -> tuple[Corpus, list[str]]:
    """Drop validation and test rows with an unknown label, if data.unknown_labels=drop; notes count them."""
    if data.unknown_labels == "error":
        return corpus, []
    class_labels, listed_labels = index_labels(names), set(names)  # in lists, numbers do not stand for names
    dropped = {
        name: np.array(
            [
                not listed_labels.issuperset(value)
                if isinstance(value, list)
                else get_label_name(value) not in class_labels
                for value in split.column(column)
            ],
            bool,
        )
        for name, split in corpus.splits.items()
        if name != "train"
    }
    notes = [
        f"{name}: {format_row_count(int(mask.sum()))} dropped (label not among the {len(names)} known)"
        for name, mask in dropped.items()
        if mask.any()
    ]
    return corpus.drop_rows(dropped), notes


def build_label_indicators(split: Split, column: str, names: Sequence[str]) -> NDArray[np.float32]:
    """Build the indicator matrix of multi-label rows, shape (rows, labels): 1 where a row has a label, else 0."""
    indicators = np.zeros((len(split), len(names)), np.float32)
    numbers = {name: number for number, name in enumerate(names)}
    for row, labels in enumerate(split.column(column)):
        indicators[row, [numbers[label] for label in labels]] = 1
    return indicators


@dataclass(frozen=True)
class _KnownLabels:
    """The known label names, and the errors of other labels: L05, and L06 for integers out of range.

    Attributes:
        names: The known names, in the order of the class numbers.
        source: Where the names come from, for the message.
        listed: The names come from the recipe or a model, so integers may stand for them.
        fix: What the user can do.
    """

    names: Sequence[str]
    source: str
    listed: bool
    fix: str

    @property
    def by_number(self) -> bool:
        """Whether integers stand for names."""
        return self.listed and not all_integers(self.names)

    def find_unknown(self, split: Split, labels: list[str | None], *, drop: bool) -> list[ErrorDetail]:
        """Make one error per unknown label.

        With `drop`, rows with unknown labels will be dropped. Errors are then only a split that would lose all its
        rows, and integers among labels that are names, which point to a mistake in the file.
        """
        known = index_labels(self.names) if self.by_number else dict.fromkeys(self.names, 0)
        unknown = {label: rows for label, rows in group_rows(labels).items() if label not in known}
        if drop and sum(map(len, unknown.values())) < len(split):
            mixed = not self.by_number and not all_integers(self.names)
            unknown = {label: rows for label, rows in unknown.items() if mixed and all_integers([label])}
        if not self.names:
            return []
        return [self.make_error(split, label, rows) for label, rows in islice(unknown.items(), MAX_LINES + 1)]

    def make_error(self, split: Split, label: str, rows: list[int]) -> ErrorDetail:
        also = format_also_at(split, rows)
        numbered = self.by_number or set(self.names) == {str(number) for number in range(len(self.names))}
        if numbered and all_integers([label]):
            message = f"label {label} is outside 0 to {len(self.names) - 1}{also}"
            return ErrorDetail("L06", split.place(rows[0]), message, self.fix)
        near = get_close_matches(label, self.names, n=1)
        near = near or [name for name in self.names if normalize_text(name) == normalize_text(label)]
        hint = f'closest: "{near[0]}"' if near else f"they are: {shorten_list(self.names)}"
        message = f'label "{label}" is not one of the {len(self.names)} {self.source} ({hint}){also}'
        return ErrorDetail("L05", split.place(rows[0]), message, self.fix)


def _describe_source(model_labels: Sequence[str] | None, data: Data) -> str:
    if model_labels:
        return "labels of the model"
    return "labels in data.labels" if data.labels else "training labels"


def _fix_unknown(split_name: str) -> str:
    return "correct it" if split_name == "train" else "correct it, or set data.unknown_labels=drop"


def _rows_of_labels(split: Split, column: str) -> dict[str, list[int]]:
    """Map each label to the rows whose list has it, in order of first appearance."""
    rows: dict[str, list[int]] = {}
    for row, labels in enumerate(split.column(column)):
        for label in dict.fromkeys(labels):
            rows.setdefault(label, []).append(row)
    return rows


def _find_repeated_name(listed: Sequence[str]) -> list[ErrorDetail]:
    """L07: data.labels lists a name twice."""
    repeated = [name for name in listed if listed.count(name) > 1]
    return (
        [ErrorDetail("L07", "data.labels", f'lists "{repeated[0]}" twice', "remove one")] if repeated else []
    )


def _find_missing_labels(split: Split, column: str) -> Iterator[ErrorDetail]:
    """L04: null, NaN or empty labels. L10: values that cannot name a class."""
    values = split.column(column)
    missing = [row for row, value in enumerate(values) if is_missing(value)]
    invalid = [row for row, v in enumerate(values) if not is_missing(v) and get_label_name(v) is None]
    if missing:
        count = format_row_count(len(missing))
        message = f"{count} without a label (null, NaN or empty){format_also_at(split, missing)}"
        yield ErrorDetail("L04", split.place(missing[0]), message, "write the label, or remove the row")
    if invalid:
        value = values[invalid[0]]
        kind = {float: "a float", list: "a list", dict: "an object"}.get(type(value), "not a label")
        message = f"label {shorten(value)} is {kind}, not a class{format_also_at(split, invalid)}"
        yield ErrorDetail("L10", split.place(invalid[0]), message, "write integers or strings")


def _find_non_lists(split: Split, column: str) -> Iterator[ErrorDetail]:
    """L10: rows whose labels are not a list of strings."""
    values = split.column(column)
    invalid = [
        row
        for row, value in enumerate(values)
        if not (isinstance(value, list) and all(isinstance(label, str) and label.strip() for label in value))
    ]
    if invalid:
        also = format_also_at(split, invalid)
        message = f'"{column}" is {shorten(values[invalid[0]])}, not a list of labels{also}'
        fix = 'write a list of strings, such as ["a", "b"] or []'
        yield ErrorDetail("L10", split.place(invalid[0]), message, fix)


def _find_spellings(split: Split, rows: Mapping[str, list[int]]) -> Iterator[ErrorDetail]:
    """L07: labels that differ only by case or space, one error per group, at the first row of the rarest spelling."""
    groups: dict[str, list[str]] = {}
    for label in rows:
        groups.setdefault(normalize_text(label), []).append(label)
    for group in groups.values():
        if len(group) > 1:
            group.sort(key=lambda label: (len(rows[label]), -rows[label][0]))
            spellings = [
                f'"{name}" ({format_row_count(len(rows[name]))}, {split.place(rows[name][0])})'
                for name in group
            ]
            message = f"labels that differ only by case or space: {shorten_list(spellings)}"
            fix = "write them the same way, or list each of them in data.labels"
            yield ErrorDetail("L07", split.place(rows[group[0]][0]), message, fix)
