"""Rows in a file of the cache: written once, read some at a time, and never held."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest

from llmkit.data.reading import arrow_cache
from llmkit.data.reading.arrow_cache import BATCH, Column, open_table, release_pages, write_table

SCHEMA = pa.schema([("text", pa.string()), ("number", pa.float64()), ("more", pa.list_(pa.int64()))])


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Every third without a list, numbers whole and not."""
    for i in range(count):
        yield {"text": f"text {i}", "number": i / 2 if i % 2 else i, "more": None if i % 3 else [i, i + 1]}


def column(path: Path, name: str = "text") -> tuple[Column, Any]:
    table, mapped = open_table(path)
    return Column(datasets.Dataset(table), name, mapped), mapped


@pytest.mark.parametrize("count", [0, 1, BATCH, 2 * BATCH + 3])
def test_all_rows_come_back(tmp_path: Path, count: int) -> None:
    write_table(tmp_path / "rows.arrow", SCHEMA, rows(count))
    table, _ = open_table(tmp_path / "rows.arrow")
    assert table.schema == SCHEMA
    assert table.to_pylist() == list(rows(count))
    found, _ = column(tmp_path / "rows.arrow")
    assert len(found) == count
    assert list(found) == [row["text"] for row in rows(count)]


def test_a_column_is_a_sequence_like_a_list(tmp_path: Path) -> None:
    write_table(tmp_path / "rows.arrow", SCHEMA, rows(20))
    found, _ = column(tmp_path / "rows.arrow", "more")
    expected = [row["more"] for row in rows(20)]
    assert found == expected
    assert found != expected[:-1]
    assert (found[3], found[-1], found[4:7], found[:0]) == (expected[3], expected[-1], expected[4:7], [])
    assert expected[6] in found
    assert list(reversed(found)) == expected[::-1]


def test_what_is_stored_is_not_stored_again(tmp_path: Path) -> None:
    write_table(tmp_path / "rows.arrow", SCHEMA, rows(5))
    write_table(tmp_path / "rows.arrow", SCHEMA, (pytest.fail("read again") for _ in range(1)))
    assert len(column(tmp_path / "rows.arrow")[0]) == 5


def test_an_error_of_the_rows_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield from rows(2 * BATCH)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_table(tmp_path / "rows.arrow", SCHEMA, broken())
    assert [path.suffix for path in tmp_path.iterdir()] in ([], [".lock"])


def test_going_through_leaves_nothing_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "some words " * 3000
    write_table(
        tmp_path / "rows.arrow", SCHEMA, ({**row, "text": f"{long} {row['number']}"} for row in rows(3000))
    )
    found, mapped = column(tmp_path / "rows.arrow")
    size = mapped.size()
    assert size > 90e6
    assert grown(lambda: sum(map(len, found))) < size / 4
    monkeypatch.setattr(arrow_cache, "release_pages", lambda _: None)  # the negative control
    assert grown(lambda: sum(map(len, found))) > size / 2
    release_pages(mapped)
    assert grown(lambda: None) < size / 4


def grown(do: Any) -> int:
    """Bytes of files and its own that this process has more in memory after doing it."""
    before = resident()
    do()
    return resident() - before


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
