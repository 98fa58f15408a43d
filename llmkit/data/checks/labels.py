"""Labels as names and numbers: one reading of what stands in a file, shared by checks, splits and duplicates.

A label is a string, true or false, or an integer. An integer (also one in a CSV field) is its own name
where the classes are named by integers; else it counts the names from 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from llmkit.data.corpus import Split

__all__ = [
    "all_integers",
    "in_order",
    "label_ids",
    "labels_of",
    "name_of_label",
    "numbers_of",
    "rows_by_label",
]

_INTEGER = re.compile(r"-?\d+")


def name_of_label(value: object) -> str | None:
    """`spam`, `true`, `3`: the name of a label; None where the value is no label."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) and value.strip() else None


def labels_of(part: Split, column: str) -> list[str | None]:
    """The name of each row's label."""
    return [name_of_label(value) for value in part.column(column)]


def label_ids(part: Split, column: str, names: Sequence[str]) -> NDArray[np.int64]:
    """The number of each row's class, shape (rows,), for labels without fault (`checks.label_names`)."""
    numbers = numbers_of(names)
    return np.array([numbers[str(label)] for label in labels_of(part, column)], np.int64)


def numbers_of(names: Sequence[str]) -> Mapping[str, int]:
    """Label -> number of its class; where the names are not integers, "0", "1" ... are labels too."""
    numbers = {name: number for number, name in enumerate(names)}
    if all_integers(names):
        return numbers
    return {str(number): number for number in range(len(names))} | numbers


def rows_by_label(labels: Sequence[str | None]) -> dict[str, list[int]]:
    """Label -> its rows, in order of first appearance."""
    rows: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        if label is not None:
            rows.setdefault(label, []).append(row)
    return rows


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Distinct names, sorted; as numbers where all are integers."""
    distinct = set(names)
    by_number = all_integers(distinct)
    return tuple(sorted(distinct, key=lambda name: (int(name) if by_number else 0, name)))


def all_integers(names: Iterable[str]) -> bool:
    return all(_INTEGER.fullmatch(name) for name in names)
