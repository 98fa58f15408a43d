"""What checks that go row by row share: faults told up to a limit, and columns written anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import MAX_LINES, ErrorDetail
from llmkit.data.corpus import Split

__all__ = ["Fault", "objects", "told", "with_columns"]

Fault = tuple[str, str, str]  # code, message, fix


def told(faults: Iterable[tuple[str, Fault]]) -> list[ErrorDetail]:
    """(place, fault) pairs as errors, grouped by code: at most MAX_LINES of them, then how many more there are."""
    shown: dict[str, list[ErrorDetail]] = {}
    counts: Counter[str] = Counter()
    for place, (code, message, fix) in faults:
        counts[code] += 1
        if counts[code] <= MAX_LINES + 1:
            shown.setdefault(code, []).append(ErrorDetail(code, place, message, fix))
    for code, problems in shown.items():
        if counts[code] > MAX_LINES + 1:
            more = f"{counts[code] - MAX_LINES:,} more faults of this kind from here on"
            problems[-1] = replace(problems[-1], message=more)
    return [problem for problems in shown.values() for problem in problems]


def with_columns(part: Split, columns: Mapping[str, Any]) -> Split:
    """The part with these columns (lists, or Arrow arrays) added, in place of any of the same names."""
    import datasets
    import pyarrow as pa

    table = part.rows.with_format("arrow")[:]
    for name, values in columns.items():
        array = values if isinstance(values, pa.Array) else pa.array(values)
        number = table.column_names.index(name) if name in table.column_names else table.num_columns
        replaced = table.remove_column(number) if number < table.num_columns else table
        table = replaced.add_column(number, name, array)
    return replace(part, rows=datasets.Dataset(table.replace_schema_metadata(None)))


def objects(values: Iterable[Any]) -> NDArray[np.object_]:
    """An object array (N,) of any values; numpy alone would make a matrix of arrays of equal length."""
    values = list(values)
    return np.fromiter(values, object, count=len(values))
