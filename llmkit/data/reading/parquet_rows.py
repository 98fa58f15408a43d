"""Parse parquet files in batches of rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmkit.data.reading.file_errors import FileErrors
from llmkit.data.reading.lines import ReportBytes

__all__ = ["parse_parquet"]


def parse_parquet(
    path: Path, errors: FileErrors, report_bytes: ReportBytes
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row number from 1, row) for each row.

    Args:
        path: The file.
        errors: Receives F10 for a damaged file, and raises J09 for a repeated column.
        report_bytes: Called after each batch of 1000 rows.
    """
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        with path.open("rb") as stored, parquet.ParquetFile(stored) as file:
            names = file.schema_arrow.names
            if repeated := [name for name in names if names.count(name) > 1]:
                errors.fail("J09", f'two columns are named "{repeated[0]}"', "rename one of them")
            for batch in file.iter_batches(batch_size=1000):
                batch.validate(full=True)  # finds strings that are not valid UTF-8
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
                report_bytes(stored.tell())
    except (pyarrow.ArrowException, OSError):
        errors.add(
            "F10", "the parquet file is truncated or damaged", "copy or download it again", line=number + 1
        )
