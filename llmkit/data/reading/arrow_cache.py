"""Rows that need not fit into memory: an Arrow file in the cache, mapped, and columns read some rows at a time.

    write_table(path, schema, rows)                    # once; others find it
    table, mapped = open_table(path)
    Column(datasets.Dataset(table), "text", mapped)

A mapped file's pages count as the process's own from the moment they are read until they are given back, so that going
through a gigabyte would look as if it were held; each batch is given back at once.
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

__all__ = ["BATCH", "Column", "open_table", "release_pages", "write_table"]

BATCH = 1000  # rows read or written at once


class Column(Sequence[Any]):
    """The values of one column, read anew each time that they are gone through. mapped: the file behind them."""

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

    __hash__ = None  # type: ignore[assignment]  # as a list's

    def __iter__(self) -> Iterator[Any]:
        for first in range(0, len(self), BATCH):
            yield from self[first : first + BATCH]


def write_table(path: Path, schema: Any, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the rows there under a lock, unless another process has. schema: a pyarrow.Schema of them.

    Raises StorageError W01-W03 where the disk does not take them.
    """
    with files.lock(path.with_suffix(".lock")):
        if not path.exists():
            files.write_bytes(path, _pieces(schema, rows))


def open_table(path: Path) -> tuple[Any, mmap.mmap]:
    """(pyarrow.Table, the file that it is mapped from)."""
    import pyarrow as pa

    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with pa.ipc.open_stream(pa.py_buffer(mapped)) as reader:
        return reader.read_all(), mapped


def release_pages(mapped: mmap.mmap | None) -> None:
    """The pages read so far are no longer this process's; the next to read them finds them in the system's cache."""
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)  # harmless: the file is mapped for reading, and never changed


def _pieces(schema: Any, rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    import pyarrow as pa

    sink, left = io.BytesIO(), iter(rows)
    with pa.ipc.new_stream(sink, schema) as writer:
        while batch := list(islice(left, BATCH)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
            yield _taken(sink)
    yield _taken(sink)


def _taken(sink: io.BytesIO) -> bytes:
    written = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return written
