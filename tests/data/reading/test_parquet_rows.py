import datasets
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


@pytest.mark.parametrize("lists", [datasets.Sequence, lambda feature: [feature]])
def test_names_of_classes_replace_their_numbers(tmp_path, lists):
    features = datasets.Features(
        {
            "ner_tags": lists(datasets.ClassLabel(names=["O", "B-PER"])),
            "label": datasets.ClassLabel(names=["neg", "pos"]),
            "n": datasets.Value("int64"),
        }
    )
    rows = [{"ner_tags": [1, 0], "label": 1, "n": 0}, {"ner_tags": [], "label": -1, "n": 1}]
    datasets.Dataset.from_list(rows, features=features).to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == [
        (1, {"ner_tags": ["B-PER", "O"], "label": "pos", "n": 0}),
        (2, {"ner_tags": [], "label": None, "n": 1}),
    ]
    errors = FileErrors("a.parquet")
    numbered = parse_parquet(tmp_path / "a.parquet", errors, lambda _: None, name_classes=False)
    assert [row["label"] for _, row in numbered] == [1, -1]


@pytest.mark.parametrize(
    "metadata",
    [b"not json", b"[]", b'{"info": {"features": {"label": {"_type": "ClassLabel", "num_classes": 2}}}}'],
)
def test_metadata_without_names_is_ignored(tmp_path, metadata):
    table = pa.table({"label": [0, 1]}).replace_schema_metadata({b"huggingface": metadata})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert [row["label"] for _, row in read(tmp_path / "a.parquet")] == [0, 1]
