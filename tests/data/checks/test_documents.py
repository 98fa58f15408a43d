"""Tests of the grouping of rows into documents, on files that are really read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmkit.base.errors import DataError
from llmkit.base.progress import SILENT
from llmkit.data import corpus as corpora
from llmkit.data.checks.documents import check_documents, iter_documents, number_documents
from llmkit.data.corpus import Corpus
from llmkit.recipe.schema import Data

TEXT = " = Title = \n\none line\nanother\n\n\nthe last\n"


def never(name: str, *_: Any) -> Any:
    raise AssertionError(name)


def read(data: Data) -> Corpus:
    return corpora.read(
        data, columns={"text": "text"}, progress=SILENT, resolve_index=never, resolve_hub=never
    )


def texts(folder: Path, **splits: str) -> Data:
    for name, text in splits.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return Data(**{name: str(folder / f"{name}.txt") for name in splits})


def jsonl(folder: Path, rows: list[Any], **options: Any) -> Data:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in rows), encoding="utf-8")
    return Data(train=str(path), **options)


@pytest.mark.parametrize(
    ("unit", "documents"),
    [
        ("file", [0, 0, 0, 0, 0, 0, 0]),
        ("paragraph", [0, 0, 1, 1, 1, 1, 2]),
        ("line", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_the_recipe_says_what_a_document_of_lines_is(tmp_path: Path, unit: Any, documents: list[int]) -> None:
    split = read(texts(tmp_path, train=TEXT)).splits["train"]
    assert number_documents(split, unit).tolist() == documents


def test_two_files_are_two_documents(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "b.txt").write_text("three\n")
    split = read(Data(train=str(tmp_path))).splits["train"]
    assert number_documents(split, "file").tolist() == [0, 0, 1]


def test_each_jsonl_row_is_a_document(tmp_path: Path) -> None:
    split = read(jsonl(tmp_path, ["one", "two"])).splits["train"]
    assert number_documents(split, "file").tolist() == [0, 1]


def test_columns_hold_the_last_rows_and_the_bytes(tmp_path: Path) -> None:
    data = texts(tmp_path, train="één\n\nzwei\n", test="x\n")
    _, references, errors, notes = check_documents(read(data), data, "paragraph", None)
    assert not errors
    assert references["train"]["last"].tolist() == [0, 1, 1]
    assert references["train"]["bytes"].tolist() == [6, 1, 5]
    assert notes == ["train: 2 documents, 12 bytes in total", "test: 1 document, 2 bytes in total"]


LEAKED = (
    "so long a sentence that nobody would write it twice, and still here it stands again, word for word\n"
)


@pytest.mark.parametrize(
    ("choice", "rows_left", "codes", "note"),
    [
        ("error", 3, ["L13"], None),
        ("allow", 3, [], "train: 1 row of documents that occur in validation or test too"),
        ("drop", 2, [], "train: 1 row of documents that occur in validation or test too dropped"),
    ],
)
def test_leaked_documents_are_errors_allowed_or_dropped(
    tmp_path: Path, choice: Any, rows_left: int, codes: list[str], note: str | None
) -> None:
    """Short documents do not count: they may be equal by coincidence."""
    data = texts(tmp_path, train=f"a b\n{LEAKED}c d\n", test=f"c d\n{LEAKED}")
    data = data.model_copy(update={"duplicates": choice})
    corpus, _, errors, notes = check_documents(read(data), data, "line", None)
    assert len(corpus.splits["train"]) == rows_left
    assert [error.code for error in errors] == codes
    assert not errors or errors[0].place.endswith("train.txt:2")
    assert note in [None, *notes]


def test_equal_documents_go_to_one_split(tmp_path: Path) -> None:
    data = texts(tmp_path, train="".join(f"{i} {LEAKED}" * 3 for i in range(40)))
    corpus, _, errors, _ = check_documents(read(data), data, "line", 1)
    assert not errors
    lines = {name: set(split.column("text")) for name, split in corpus.splits.items()}
    assert {name: len(of_split) for name, of_split in lines.items()} == {
        "train": 32,
        "validation": 4,
        "test": 4,
    }


def test_iter_documents_yields_the_rows_of_each_document() -> None:
    assert list(iter_documents(np.array([3, 3, 4, 7, 7]))) == [[0, 1], [2], [3, 4]]
    assert list(iter_documents(np.array([0]))) == [[0]]


def test_splits_are_created_from_whole_documents(tmp_path: Path) -> None:
    paragraphs = [f"first {i}\nsecond {i}\n\n" for i in range(50)]
    data = texts(tmp_path, train="".join(paragraphs))
    corpus, references, _, _ = check_documents(read(data), data, "paragraph", 1)
    texts_of = {name: "".join(split.column("text")) for name, split in corpus.splits.items()}
    assert {name: int(reference["last"].sum()) for name, reference in references.items()} == {
        "train": 40,
        "validation": 5,
        "test": 5,
    }
    for paragraph in paragraphs:
        assert [paragraph in text for text in texts_of.values()].count(True) == 1
    again, *_ = check_documents(read(data), data, "paragraph", 1)
    other, *_ = check_documents(read(data), data, "paragraph", 2)
    assert again.fingerprint == corpus.fingerprint != other.fingerprint


def test_with_few_documents_the_last_rows_become_the_new_splits(tmp_path: Path) -> None:
    data = texts(tmp_path, train="".join(f"{i:09}\n" for i in range(100)))
    corpus, _, _, _ = check_documents(read(data), data, "file", 1)
    assert {name: split.column("text")[0][:9] for name, split in corpus.splits.items()} == {
        "train": "000000000",
        "validation": "000000080",
        "test": "000000090",
    }
    assert "the last rows, because there are few documents" in corpus.notes[-1]


def test_without_a_seed_no_split_is_created(tmp_path: Path) -> None:
    data = texts(tmp_path, test="a\n")
    corpus, *_ = check_documents(read(data), data, "file", None)
    assert set(corpus.splits) == {"test"}


def test_too_little_text_to_split_is_l09(tmp_path: Path) -> None:
    data = texts(tmp_path, train="one\ntwo\n")
    with pytest.raises(DataError, match=r"L09.*too few to create a validation split"):
        check_documents(read(data), data, "file", 1)
    data = jsonl(tmp_path, ["one"] * 3, validation_share=0.5, test_share=0.5)
    with pytest.raises(DataError, match=r"L09.*take all rows"):
        check_documents(read(data), data, "file", 1)


@pytest.mark.parametrize(("bad", "code"), [(None, "L02"), ("  ", "L03")])
def test_a_document_without_a_text_is_an_error(tmp_path: Path, bad: Any, code: str) -> None:
    data = jsonl(tmp_path, ["one", bad, "two"])
    *_, errors, _ = check_documents(read(data), data, "file", None)
    assert [(error.code, error.place[-2:]) for error in errors] == [(code, ":2")]


def test_documents_without_a_text_can_be_dropped(tmp_path: Path) -> None:
    data = jsonl(tmp_path, ["one", " ", "two"], empty_text="drop")
    corpus, references, _, notes = check_documents(read(data), data, "file", None)
    assert references["train"]["documents"].tolist() == [0, 1]
    assert "1 row dropped" in notes[0]
    assert corpus.splits["train"].column("text") == ["one", "two"]


def test_lines_may_be_blank_but_a_split_of_blank_lines_is_l03(tmp_path: Path) -> None:
    data = texts(tmp_path, train="\n \n\n")
    *_, errors, _ = check_documents(read(data), data, "file", None)
    assert [error.code for error in errors] == ["L03"]
