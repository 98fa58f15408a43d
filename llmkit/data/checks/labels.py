"""Read class labels as names and numbers; the checks, the splits and the search for duplicates share this reading.

A label is a string, true or false, or an integer. An integer (also one in a CSV field) is its own name if the classes
are named by integers; otherwise it is a class number, counted from 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from llmkit.data.corpus import Split

__all__ = [
    "all_integers",
    "encode_labels",
    "get_label_name",
    "group_rows",
    "index_labels",
    "is_missing",
    "read_labels",
    "sort_labels",
]

T = TypeVar("T")
_INTEGER = re.compile(r"-?\d+")


def get_label_name(value: object) -> str | None:
    """Return the name of a label, such as `spam`, `true` or `3`, or None if the value cannot be a label."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) and value.strip() else None


def is_missing(value: object) -> bool:
    """Return whether a value is null, NaN, empty or blank."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not value.strip())


def read_labels(split: Split, column: str) -> list[str | None]:
    """Return the name of each row's label."""
    return [get_label_name(value) for value in split.column(column)]


def encode_labels(split: Split, column: str, names: Sequence[str]) -> NDArray[np.int64]:
    """Return the class number of each row, shape (rows,), for labels without errors (`check_class_labels`)."""
    numbers = index_labels(names)
    return np.array([numbers[str(label)] for label in read_labels(split, column)], np.int64)


def index_labels(names: Sequence[str]) -> Mapping[str, int]:
    """Map labels to class numbers; if the names are not integers, "0", "1" ... are labels too."""
    numbers = {name: number for number, name in enumerate(names)}
    if all_integers(names):
        return numbers
    return {str(number): number for number in range(len(names))} | numbers


def group_rows(values: Iterable[T | None]) -> dict[T, list[int]]:
    """Map each value, such as a label, to its rows, in order of first appearance; None is left out."""
    rows: dict[T, list[int]] = {}
    for row, value in enumerate(values):
        if value is not None:
            rows.setdefault(value, []).append(row)
    return rows


def sort_labels(names: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct names, sorted; by number if all are integers."""
    distinct = set(names)
    by_number = all_integers(distinct)
    return tuple(sorted(distinct, key=lambda name: (int(name) if by_number else 0, name)))


def all_integers(names: Iterable[str]) -> bool:
    """Return whether all names are integers."""
    return all(_INTEGER.fullmatch(name) for name in names)
