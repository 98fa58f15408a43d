"""Cache rows that need not fit into memory in an Arrow file, and read its columns in batches.

    write_table(path, schema, rows)              # does nothing when the file exists
    table, mapped = open_table(path)
    Column(datasets.Dataset(table), "text", mapped)

The file is memory-mapped. Its pages count as memory of this process from the moment they are read until they are
released, so a pass over a gigabyte would look like a gigabyte of memory in use. Therefore each batch is released at
once.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from llmkit.base import files

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

__all__ = ["BATCH_ROWS", "Column", "open_table", "release_pages", "write_table"]

BATCH_ROWS = 1000  # rows read or written at once


class Column(Sequence[Any]):
    """The values of one column, as a sequence that reads from the file on every access.

    Args:
        rows: The data set.
        name: The column.
        mapped: The memory-mapped file behind the data set, or None when the rows are in memory.
    """

    def __init__(self, rows: datasets.Dataset, name: str, mapped: mmap.mmap | None) -> None:
        self._rows, self._name, self._mapped = rows.select_columns(name), name, mapped

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, key: int) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> list[Any]: ...
    def __getitem__(self, key: int | slice) -> Any:
        values = self._rows[key][self._name]
        release_pages(self._mapped)
        return values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # unhashable, like a list

    def __iter__(self) -> Iterator[Any]:
        for first in range(0, len(self), BATCH_ROWS):
            yield from self[first : first + BATCH_ROWS]


def write_table(path: Path, schema: pa.Schema, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows to an Arrow file under a lock; do nothing when the file exists.

    Raises:
        StorageError: W01 to W03, when the rows can't be written.
    """
    with files.lock(path.with_suffix(".lock")):
        if not path.exists():
            files.write_bytes(path, _encode(schema, rows))


def open_table(path: Path) -> tuple[pa.Table, mmap.mmap]:
    """Return (the table, the memory-mapped file that it reads from)."""
    import pyarrow as pa

    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with pa.ipc.open_stream(pa.py_buffer(mapped)) as reader:
        return reader.read_all(), mapped


def release_pages(mapped: mmap.mmap | None) -> None:
    """Release the pages that this process has read; later reads find them in the system's page cache."""
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)  # safe because the file is read-only


def _encode(schema: pa.Schema, rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield the bytes of an Arrow stream, one piece per batch."""
    import pyarrow as pa

    sink, remaining = io.BytesIO(), iter(rows)

    def drain() -> bytes:
        written = sink.getvalue()
        sink.seek(0)
        sink.truncate()
        return written

    with pa.ipc.new_stream(sink, schema) as writer:
        while batch := list(islice(remaining, BATCH_ROWS)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
            yield drain()
    yield drain()
