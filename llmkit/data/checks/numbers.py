"""Check a column of numbers, the targets of regression."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import ErrorDetail
from llmkit.data.checks.labels import is_missing
from llmkit.data.checks.row_errors import format_also_at, shorten
from llmkit.data.corpus import Corpus, format_row_count

__all__ = ["check_numbers"]

LARGEST = float(np.finfo(np.float32).max)  # targets are float32


def check_numbers(corpus: Corpus, column: str) -> tuple[dict[str, NDArray[np.float32]], list[ErrorDetail]]:
    """Read a column of numbers; strings that spell a number count, since CSV files hold only strings.

    Returns:
        Split -> numbers, shape (rows,); and the errors: L04 for missing values, L10 for values that are not finite
        numbers, L08 when all training numbers are equal.
    """
    errors: list[ErrorDetail] = []
    numbers: dict[str, NDArray[np.float32]] = {}
    for name, split in corpus.splits.items():
        values = split.column(column)
        parsed = [_parse_number(value) for value in values]
        missing = [row for row, value in enumerate(values) if is_missing(value)]
        invalid = [row for row, x in enumerate(parsed) if x is None and not is_missing(values[row])]
        if missing:
            count = format_row_count(len(missing))
            message = f'{count} without "{column}" (null, NaN or empty){format_also_at(split, missing)}'
            fix = "write the number, or remove the row"
            errors.append(ErrorDetail("L04", split.place(missing[0]), message, fix))
        if invalid:
            also = format_also_at(split, invalid)
            message = f'"{column}" is "{shorten(values[invalid[0]])}", not a number{also}'
            errors.append(ErrorDetail("L10", split.place(invalid[0]), message, "write a number"))
        numbers[name] = np.array([np.nan if x is None else x for x in parsed], np.float32)
        if name == "train" and len(set(parsed)) == 1 and parsed[0] is not None:
            message = f'all {format_row_count(len(split))} of the training set have "{column}" {parsed[0]:g}'
            errors.append(ErrorDetail("L08", split.place(0), message, "add rows with other numbers"))
    return numbers, errors


def _parse_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str) or "_" in str(value):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) <= LARGEST else None
