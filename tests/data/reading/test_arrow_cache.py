"""Caching rows in an Arrow file and reading them in batches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest

from llmkit.data.reading import arrow_cache
from llmkit.data.reading.arrow_cache import BATCH_ROWS, Column, open_table, release_pages, write_table

SCHEMA = pa.schema([("text", pa.string()), ("number", pa.float64()), ("more", pa.list_(pa.int64()))])


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Yield rows with integers and floats; only every third row has a list."""
    for i in range(count):
        yield {"text": f"text {i}", "number": i / 2 if i % 2 else i, "more": None if i % 3 else [i, i + 1]}


def column(path: Path, name: str = "text") -> tuple[Column, Any]:
    table, mapped = open_table(path)
    return Column(datasets.Dataset(table), name, mapped), mapped


@pytest.mark.parametrize("count", [0, 1, BATCH_ROWS, 2 * BATCH_ROWS + 3])
def test_written_rows_are_read_back(tmp_path: Path, count: int) -> None:
    write_table(tmp_path / "rows.arrow", SCHEMA, rows(count))
    table, _ = open_table(tmp_path / "rows.arrow")
    assert table.schema == SCHEMA
    assert table.to_pylist() == list(rows(count))
    values, _ = column(tmp_path / "rows.arrow")
    assert len(values) == count
    assert list(values) == [row["text"] for row in rows(count)]


def test_a_column_is_a_sequence_like_a_list(tmp_path: Path) -> None:
    write_table(tmp_path / "rows.arrow", SCHEMA, rows(20))
    values, _ = column(tmp_path / "rows.arrow", "more")
    expected = [row["more"] for row in rows(20)]
    assert values == expected
    assert values != expected[:-1]
    assert (values[3], values[-1], values[4:7], values[:0]) == (expected[3], expected[-1], expected[4:7], [])
    assert expected[6] in values
    assert list(reversed(values)) == expected[::-1]


def test_an_existing_file_is_not_written_again(tmp_path: Path) -> None:
    write_table(tmp_path / "rows.arrow", SCHEMA, rows(5))
    write_table(tmp_path / "rows.arrow", SCHEMA, (pytest.fail("read again") for _ in range(1)))
    assert len(column(tmp_path / "rows.arrow")[0]) == 5


def test_an_error_while_reading_rows_leaves_no_file(tmp_path: Path) -> None:
    def failing() -> Iterator[dict[str, Any]]:
        yield from rows(2 * BATCH_ROWS)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_table(tmp_path / "rows.arrow", SCHEMA, failing())
    assert [path.suffix for path in tmp_path.iterdir()] in ([], [".lock"])


def test_iterating_over_a_column_releases_its_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "some words " * 3000
    write_table(
        tmp_path / "rows.arrow", SCHEMA, ({**row, "text": f"{long} {row['number']}"} for row in rows(3000))
    )
    values, mapped = column(tmp_path / "rows.arrow")
    size = mapped.size()
    assert size > 90e6
    assert measure_growth(lambda: sum(map(len, values))) < size / 4
    monkeypatch.setattr(
        arrow_cache, "release_pages", lambda _: None
    )  # negative control: without releasing, memory grows
    assert measure_growth(lambda: sum(map(len, values))) > size / 2
    release_pages(mapped)
    assert measure_growth(lambda: None) < size / 4


def measure_growth(action: Callable[[], object]) -> int:
    """Return by how many bytes the resident memory of this process grows during an action."""
    before = resident_bytes()
    action()
    return resident_bytes() - before


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
