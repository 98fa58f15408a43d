"""Collect the errors of checks that go row by row, and format parts of their messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import MAX_LINES, ErrorDetail, shorten_list
from llmkit.data.corpus import Corpus, Split
from llmkit.recipe.schema import Data

__all__ = ["Checked", "RowError", "collect_errors", "format_also_at", "mask_empty_rows", "shorten"]


class Checked(NamedTuple):
    """The result of a check: the corpus without dropped rows, the errors, and notes for the report."""

    corpus: Corpus
    errors: list[ErrorDetail]
    notes: list[str]


class RowError(NamedTuple):
    """An error of a row whose place is still to be added: its code, message and fix, as in `ErrorDetail`."""

    code: str
    message: str
    fix: str


def collect_errors(errors: Iterable[tuple[str, RowError]]) -> list[ErrorDetail]:
    """Turn (place, error) pairs into error details, grouped by code.

    Each code has at most MAX_LINES details and one more that counts its other errors.
    """
    details: dict[str, list[ErrorDetail]] = {}
    counts: Counter[str] = Counter()
    for place, (code, message, fix) in errors:
        counts[code] += 1
        if counts[code] <= MAX_LINES + 1:
            details.setdefault(code, []).append(ErrorDetail(code, place, message, fix))
    for code, of_code in details.items():
        if counts[code] > MAX_LINES + 1:
            message = f"{counts[code] - MAX_LINES:,} more errors of this kind from here on"
            of_code[-1] = replace(of_code[-1], message=message)
    return [detail for of_code in details.values() for detail in of_code]


def mask_empty_rows(errors: Sequence[RowError | None], data: Data) -> NDArray[np.bool_]:
    """Mark the rows to drop, shape (rows,): those with an empty text (L03, S05) if data.empty_text=drop.

    When all rows have an empty text none is marked, so their errors are raised.
    """
    empty = np.array([error is not None and error.code in ("L03", "S05") for error in errors], bool)
    return empty if data.empty_text == "drop" and not empty.all() else np.zeros_like(empty)


def format_also_at(split: Split, rows: Sequence[int] | NDArray[np.int64]) -> str:
    """Format all places but the first: `, also at a.csv:9, a.csv:12 and 3 more`, or "" for a single row."""
    return f", also at {shorten_list(split.place(int(row)) for row in rows[1:])}" if len(rows) > 1 else ""


def shorten(value: object) -> str:
    """Return the first 40 characters of a value, for a message."""
    return str(value)[:40]
