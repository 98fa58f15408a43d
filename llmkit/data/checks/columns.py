"""Columns of a split: add them, read several of them row by row, and build arrays of objects and messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llmkit.data.corpus import Split

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["iter_rows", "message_array", "object_array", "string_array", "with_columns"]


def with_columns(split: Split, columns: Mapping[str, Any]) -> Split:
    """Return the split with these columns (lists or Arrow arrays), which replace columns of the same name."""
    import datasets
    import pyarrow as pa

    table = split.rows.with_format("arrow")[:]
    for name, values in columns.items():
        array = values if isinstance(values, pa.Array) else pa.array(values)
        position = table.column_names.index(name) if name in table.column_names else table.num_columns
        others = table.remove_column(position) if position < table.num_columns else table
        table = others.add_column(position, name, array)
    return replace(split, rows=datasets.Dataset(table.replace_schema_metadata(None)))


def iter_rows(split: Split, names: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield each row as a dictionary of these columns, without columns that the split does not have."""
    columns = split.columns
    present = [name for name in names if name in columns]
    return (dict(zip(present, values, strict=True)) for values in zip(*(columns[name] for name in present)))


def string_array(texts: Sequence[str]) -> pa.Array:
    """Build an Arrow array of strings; without a type, Arrow would give an empty list the type null."""
    import pyarrow as pa

    return pa.array(texts, pa.string())


def message_array(conversations: Sequence[Sequence[Mapping[str, str]]]) -> pa.Array:
    """Build an Arrow array of conversations, each a list of messages with `role` and `content`."""
    import pyarrow as pa

    message = pa.struct({"role": pa.string(), "content": pa.string()})
    return pa.array(conversations, pa.list_(message))


def object_array(values: Iterable[Any]) -> NDArray[np.object_]:
    """Build an object array, shape (N,), of any values; np.array would make a matrix of lists of equal length."""
    values = list(values)
    return np.fromiter(values, object, count=len(values))
