import pyarrow as pa
import pytest
from pyarrow import parquet

from llmkit.base.errors import DataError
from llmkit.data.reading.file_errors import FileErrors
from llmkit.data.reading.parquet_rows import parse_parquet


def read(path, reports=None):
    """Return the numbered rows, after raising the errors."""
    errors = FileErrors(path.name)
    rows = list(parse_parquet(path, errors, (reports if reports is not None else []).append))
    errors.raise_if_any()
    return rows


def test_rows_are_numbered_and_batches_report_bytes(tmp_path):
    parquet.write_table(pa.table({"n": list(range(2500))}), tmp_path / "a.parquet", row_group_size=1000)
    reports = []
    assert read(tmp_path / "a.parquet", reports) == [(n + 1, {"n": n}) for n in range(2500)]
    assert len(reports) == 3
    assert reports[-1] <= (tmp_path / "a.parquet").stat().st_size


def test_invalid_utf8_is_f10(tmp_path):
    invalid = pa.array([b"caf\xe9"], pa.binary()).view(pa.string())
    parquet.write_table(pa.table({"text": invalid}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="F10"):
        read(tmp_path / "a.parquet")


def test_a_repeated_column_is_j09(tmp_path):
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r'J09\] a.parquet: two columns are named "text"'):
        read(tmp_path / "a.parquet")
