import csv
import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from llmkit.base.errors import DataError, StorageError
from llmkit.data import corpus as module
from llmkit.data.reading import table_builder

ROWS = [{"text": f"text {i}, or so", "label": "pos" if i % 3 else "neg", "year": str(i)} for i in range(10)]


def write(name, rows=ROWS):
    path = Path(name)
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps({"data": rows}, indent=1))
    elif path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return name


class RecordedProgress:
    def __init__(self):
        self.calls = []

    def note(self, text):
        raise AssertionError(text)

    def advance(self, what, done, total, unit, detail=""):
        self.calls.append((what, done, total, unit))


def test_a_corpus_has_rows_columns_places_and_notes(in_folder, read):
    corpus = read(train=write("train.csv"), test=write("test.jsonl", ROWS[:3]))
    assert list(corpus.splits) == ["train", "test"]
    train, test = corpus.splits["train"], corpus.splits["test"]
    assert len(train) == 10
    assert train.column("text") == [row["text"] for row in ROWS]
    assert train.rows[4] == ROWS[4]
    assert (train.place(0), test.place(2)) == ("train.csv:2", "test.jsonl:3")
    assert corpus.notes == ("train: 10 rows from train.csv", "test: 3 rows from test.jsonl")


def test_columns_get_the_tasks_names(in_folder, read):
    write("a.csv")
    split = read(train="a.csv", columns={"text": "label", "label": "year"}).splits["train"]
    assert split.column("text")[:2] == ["neg", "pos"]
    assert sorted(split.rows.column_names) == ["label", "text"]


def test_selected_rows_keep_their_places(in_folder, read):
    split = read(train=write("a.jsonl")).splits["train"].select([7, 2])
    assert split.column("text") == [ROWS[7]["text"], ROWS[2]["text"]]
    assert [split.place(0), split.place(1)] == ["a.jsonl:8", "a.jsonl:3"]
    assert len(split.select(np.array([1]))) == 1


def test_the_same_rows_give_the_same_fingerprint_in_every_format(in_folder, read):
    formats = [write(f"a{suffix}") for suffix in (".jsonl", ".json", ".csv", ".tsv", ".parquet")]
    assert len({read(train=name).fingerprint for name in formats}) == 1


def test_the_fingerprint_depends_on_content_order_and_split_names(in_folder, read):
    write("a.jsonl")
    write("reversed.jsonl", ROWS[::-1])
    write("edited.jsonl", [*ROWS[:-1], {**ROWS[-1], "year": "10"}])
    fingerprints = {
        read(train="a.jsonl").fingerprint,
        read(test="a.jsonl").fingerprint,
        read(train="reversed.jsonl").fingerprint,
        read(train="edited.jsonl").fingerprint,
        read(train="a.jsonl", columns={"text": "year"}).fingerprint,
    }
    assert len(fingerprints) == 5


def test_the_fingerprint_does_not_depend_on_paths(in_folder, read):
    write("a.jsonl")
    write("b.jsonl", ROWS[:4])
    write("c.jsonl", ROWS[4:])
    assert read(train="a.jsonl").fingerprint == read(train=["b.jsonl", "c.jsonl"]).fingerprint


def test_errors_of_all_files_are_raised_together(in_folder, read):
    Path("a.jsonl").write_text('{"text": "x", "label": 1}\n{"text": 3, "label": 1}\n')
    Path("b.jsonl").write_text('{"txt": "x", "label": 1}\n')
    Path("c.jsonl").write_text("{]")
    with pytest.raises(DataError) as caught:
        read(train=["a.jsonl", "b.jsonl"], test="c.jsonl")
    assert [(detail.code, detail.place) for detail in caught.value.details] == [
        ("J01", "c.jsonl:1:2"),
        ("L01", "b.jsonl"),
        ("J06", "a.jsonl:2"),
    ]


def test_a_test_file_without_labels_is_l01(in_folder, read):
    write("a.jsonl")
    write("test.jsonl", [{"text": "x"}])
    with pytest.raises(
        DataError, match=r'L01\] test.jsonl: column "label" is missing \(the file has: text\)'
    ):
        read(train="a.jsonl", test="test.jsonl")


def test_reading_does_not_change_the_files(in_folder, read):
    names = [write(f"a{suffix}") for suffix in (".jsonl", ".csv", ".parquet")]
    before = {name: hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in names}
    for name in names:
        read(train=name)
    assert {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in in_folder.iterdir()
    } == before


@pytest.fixture
def large(monkeypatch):
    """Treat every file as large."""
    monkeypatch.setattr(table_builder, "IN_MEMORY", 0)
    monkeypatch.setattr(table_builder, "CHUNK_ROWS", 4)
    monkeypatch.setattr(module, "PROGRESS_BYTES", 0)


def test_large_files_are_cached_and_read_the_same(in_folder, read, large, monkeypatch, capfd):
    rows = [{**row, "more": {"a": [i]} if i > 6 else None} for i, row in enumerate(ROWS)]
    progress = RecordedProgress()
    split = read(train=write("a.jsonl", rows), progress=progress).splits["train"]
    assert list(split.rows) == rows
    assert split.mapped is not None
    assert split.column("text") == [row["text"] for row in rows]
    assert split.column("text")[3:5] == [row["text"] for row in rows[3:5]]
    assert split.select([7, 2]).column("text") == [rows[7]["text"], rows[2]["text"]]
    assert split[8:10] == {name: [row[name] for row in rows[8:10]] for name in rows[0]}
    assert split.place(9) == "a.jsonl:10"
    size = Path("a.jsonl").stat().st_size
    assert progress.calls == [("reading data", size, size, "bytes"), ("storing data", 10, 10, "rows")]
    assert capfd.readouterr() == ("", "")


def test_a_cached_file_has_the_same_fingerprint_as_one_in_memory(in_folder, read, monkeypatch):
    small = read(train=write("a.csv"))
    monkeypatch.setattr(table_builder, "IN_MEMORY", 0)
    stored = read(train="a.csv")
    assert stored.fingerprint == small.fingerprint
    assert (
        stored.splits["train"].rows._fingerprint
        != read(train=write("b.csv", ROWS[:5])).splits["train"].rows._fingerprint
    )


def test_a_changed_file_is_not_read_from_the_cache(in_folder, read, large):
    read(train=write("a.jsonl"))
    reversed_rows = read(train=write("a.jsonl", ROWS[::-1])).splits["train"]
    assert reversed_rows.column("text") == [row["text"] for row in ROWS[::-1]]


def test_the_same_rows_are_cached_only_once(in_folder, read, large):
    rows = [{"text": "only here", "label": str(i)} for i in range(5)]
    progress = RecordedProgress()
    first = read(train=write("a.jsonl", rows), progress=progress)
    again = read(train=write("b.csv", rows), progress=progress)
    assert sum(what == "storing data" for what, *_ in progress.calls) == 1
    assert list(again.splits["train"].rows) == list(first.splits["train"].rows)


def test_a_full_disk_is_a_storage_error(in_folder, read, large, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    monkeypatch.setenv("LLMKIT_CACHE", "cache")
    with pytest.raises(StorageError, match="no space left on the disk"):
        read(train=write("a.jsonl"))
    assert not list(Path("cache/datasets").glob("*arrow"))


def test_small_files_report_no_progress(in_folder, read):
    progress = RecordedProgress()
    read(train=write("a.jsonl"), progress=progress)
    assert progress.calls == []


def test_rearranged_splits_have_a_new_fingerprint(in_folder, read):
    corpus = read(train=write("a.jsonl"))
    rearranged = corpus.rearrange({"test": ("train", np.array([1, 2])), "train": ("train", np.array([0, 3]))})
    assert list(rearranged.splits) == ["train", "test"]
    assert [rearranged.splits["test"].place(i) for i in range(2)] == ["a.jsonl:2", "a.jsonl:3"]
    other = corpus.rearrange({"test": ("train", np.array([1, 3])), "train": ("train", np.array([0, 2]))})
    assert len({corpus.fingerprint, rearranged.fingerprint, other.fingerprint}) == 3
    assert corpus.rearrange({}).fingerprint == corpus.fingerprint


def test_rows_are_dropped_by_masks(in_folder, read):
    corpus = read(train=write("a.jsonl"), test=write("b.jsonl"))
    mask = np.arange(10) > 2
    left = corpus.drop_rows({"train": mask, "test": np.zeros(10, bool)})
    assert (len(left.splits["train"]), len(left.splits["test"])) == (3, 10)
    assert left.fingerprint != corpus.fingerprint
    assert corpus.drop_rows({"train": np.zeros(10, bool)}).fingerprint == corpus.fingerprint


def parquet_bytes(columns):
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


GOOD = b'{"text": "good", "label": 1, "n": [1]}\n{"text": "bad", "label": 0}\n'
MUTANTS = {
    "a.jsonl": GOOD,
    "a.csv": b'text,label\ngood,1\n"bad, ""really""",0\n',
    "a.json": json.dumps({"data": [{"text": "good"}, {"text": "b\u00e4d"}]}).encode(),
    "a.jsonl.gz": gzip.compress(GOOD),
    "a.parquet": parquet_bytes({"text": ["good", "bad"], "label": [1, 0]}),
}


@pytest.mark.parametrize("name", MUTANTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mutated_file_is_read_or_raises_a_data_error(in_folder, read, name, data):
    content = bytearray(MUTANTS[name])
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        stop = data.draw(st.integers(start, min(len(content), start + 8)))
        snippet = st.sampled_from(
            [b"\n", b"\r", b'"', b"\0", b"\xff", b",", b"[", b"{", b"}", b"\\ud800", b"\xef\xbb\xbf"]
        )
        content[start:stop] = data.draw(st.one_of(snippet, st.binary(max_size=6)))
    Path(name).write_bytes(content)
    try:
        read(train=name, columns={"text": "text"})
    except DataError as error:
        assert all(
            line.startswith(f"error[{p.code}] {name}") for line, p in zip(error.lines(), error.details)
        )
        assert all("\n" not in line for line in error.lines())


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        "acceptability/cola",
        "chinese/chnsenticorp",
        "chinese/thucnews_titles",
        "sentiment/sst2",
        "sentiment/sst5",
        "sentiment/vader_movie_reviews",
        "spam/sms_spam",
        "topic/ag_news",
        "topic/trec_questions",
    ],
)
def test_the_sample_data_sets_have_no_errors(shared, read, name):
    from llmkit.data.checks.duplicates import check_duplicates
    from llmkit.data.checks.label_checks import check_class_labels
    from llmkit.data.checks.labels import encode_labels
    from llmkit.data.checks.texts import check_texts
    from llmkit.recipe.schema import Data

    corpus, data = read(train=str(shared / name)), Data()
    assert list(corpus.splits) == ["train", "validation", "test"]
    _, texts, _ = check_texts(corpus, "text", data)
    names, labels = check_class_labels(corpus, "label", data)
    _, duplicates, _ = check_duplicates(corpus, "text", "label", data)
    assert texts + labels + duplicates == []
    assert len(names) >= 2
    for split in corpus.splits.values():
        assert set(encode_labels(split, "label", names)) <= set(range(len(names)))
