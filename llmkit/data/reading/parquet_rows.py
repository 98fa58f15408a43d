"""Parse parquet files in batches of rows.

A file that the library `datasets` wrote contains the names of its classes (ClassLabel); the numbers of such a column
are replaced by the names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from llmkit.data.reading.file_errors import FileErrors
from llmkit.data.reading.lines import ReportBytes

__all__ = ["name_class", "parse_parquet"]


def parse_parquet(
    path: Path, errors: FileErrors, report_bytes: ReportBytes, *, name_classes: bool = True
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row number from 1, row) for each row.

    Args:
        path: The file.
        errors: Receives F10 for a damaged file, and raises J09 for a repeated column.
        report_bytes: Called after each batch of 1000 rows.
        name_classes: Whether to replace the numbers of classes by the names that the file contains.
    """
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        with path.open("rb") as stored, parquet.ParquetFile(stored) as file:
            names = file.schema_arrow.names
            if repeated := [name for name in names if names.count(name) > 1]:
                errors.fail("J09", f'two columns are named "{repeated[0]}"', "rename one of them")
            classes = _read_class_names(file.schema_arrow.metadata) if name_classes else {}
            for batch in file.iter_batches(batch_size=1000):
                batch.validate(full=True)  # finds strings that are not valid UTF-8
                for row in batch.to_pylist():
                    number += 1
                    for column in classes.keys() & row.keys():
                        row[column] = name_class(row[column], classes[column])
                    yield number, row
                report_bytes(stored.tell())
    except (pyarrow.ArrowException, OSError):
        errors.add(
            "F10", "the parquet file is truncated or damaged", "copy or download it again", line=number + 1
        )


def name_class(value: Any, names: Sequence[str]) -> Any:
    """Return the name of a class number, also in lists; None for the number -1, which stands for no class."""
    if isinstance(value, list):
        return [name_class(item, names) for item in value]
    if not isinstance(value, int) or value >= len(names):
        return value
    return names[value] if value >= 0 else None


def _read_class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """Return the names of the classes of each column, from the metadata that the library `datasets` writes."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {column: names for column, feature in features.items() if (names := _find_names(feature))}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _find_names(feature: Any) -> list[str] | None:
    """Return the names in the description of a feature, or of what its lists contain."""
    while not (isinstance(feature, dict) and feature.get("_type") == "ClassLabel"):
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        elif isinstance(feature, dict) and "feature" in feature:
            feature = feature["feature"]
        else:
            return None
    names = feature.get("names")
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None
