"""Which rows make up a document, in what is read from real files."""

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


def texts(folder: Path, **parts: str) -> Data:
    for name, text in parts.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return Data(**{name: str(folder / f"{name}.txt") for name in parts})


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
def test_lines_of_a_file_make_up_what_the_recipe_says(
    tmp_path: Path, unit: Any, documents: list[int]
) -> None:
    part = read(texts(tmp_path, train=TEXT)).splits["train"]
    assert number_documents(part, unit).tolist() == documents


def test_two_files_are_two_documents(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "b.txt").write_text("three\n")
    part = read(Data(train=str(tmp_path))).splits["train"]
    assert number_documents(part, "file").tolist() == [0, 0, 1]


def test_other_rows_stand_alone(tmp_path: Path) -> None:
    part = read(jsonl(tmp_path, ["one", "two"])).splits["train"]
    assert number_documents(part, "file").tolist() == [0, 1]


def test_golds_know_ends_and_bytes(tmp_path: Path) -> None:
    data = texts(tmp_path, train="één\n\nzwei\n", test="x\n")
    _, golds, problems, notes = check_documents(read(data), data, "paragraph", None)
    assert not problems
    assert golds["train"]["last"].tolist() == [0, 1, 1]
    assert golds["train"]["bytes"].tolist() == [6, 1, 5]
    assert notes == ["train: 2 documents of 12 bytes in all", "test: 1 document of 2 bytes in all"]


KNOWN = "so long a sentence that nobody would write it twice, and still here it stands again, word for word\n"


@pytest.mark.parametrize(
    ("choice", "left", "code", "note"),
    [
        ("error", 3, ["L13"], None),
        ("allow", 3, [], "train: 1 row of documents that stand in validation or test too"),
        ("drop", 2, [], "train: 1 row of documents that stand in validation or test too dropped"),
    ],
)
def test_training_documents_that_are_scored_too_are_treated_as_the_recipe_says(
    tmp_path: Path, choice: Any, left: int, code: list[str], note: str | None
) -> None:
    """Short ones are no wonder."""
    data = texts(tmp_path, train=f"a b\n{KNOWN}c d\n", test=f"c d\n{KNOWN}")
    data = data.model_copy(update={"duplicates": choice})
    corpus, _, problems, notes = check_documents(read(data), data, "line", None)
    assert len(corpus.splits["train"]) == left
    assert [problem.code for problem in problems] == code
    assert not problems or problems[0].place.endswith("train.txt:2")
    assert note in [None, *notes]


def test_equal_documents_are_dealt_to_one_part(tmp_path: Path) -> None:
    data = texts(tmp_path, train="".join(f"{i} {KNOWN}" * 3 for i in range(40)))
    corpus, _, problems, _ = check_documents(read(data), data, "line", 1)
    assert not problems
    lines = {name: set(part.column("text")) for name, part in corpus.splits.items()}
    assert {name: len(own) for name, own in lines.items()} == {"train": 32, "validation": 4, "test": 4}


def test_runs_are_the_rows_of_each_document() -> None:
    assert list(iter_documents(np.array([3, 3, 4, 7, 7]))) == [[0, 1], [2], [3, 4]]
    assert list(iter_documents(np.array([0]))) == [[0]]


def test_whole_documents_are_dealt_out(tmp_path: Path) -> None:
    paragraphs = [f"first {i}\nsecond {i}\n\n" for i in range(50)]
    data = texts(tmp_path, train="".join(paragraphs))
    corpus, golds, _, _ = check_documents(read(data), data, "paragraph", 1)
    found = {name: "".join(part.column("text")) for name, part in corpus.splits.items()}
    assert {name: int(gold["last"].sum()) for name, gold in golds.items()} == {
        "train": 40,
        "validation": 5,
        "test": 5,
    }
    for paragraph in paragraphs:
        assert [paragraph in text for text in found.values()].count(True) == 1
    again, *_ = check_documents(read(data), data, "paragraph", 1)
    other, *_ = check_documents(read(data), data, "paragraph", 2)
    assert again.fingerprint == corpus.fingerprint != other.fingerprint


def test_of_few_documents_the_ends_are_taken(tmp_path: Path) -> None:
    data = texts(tmp_path, train="".join(f"{i:09}\n" for i in range(100)))
    corpus, _, _, _ = check_documents(read(data), data, "file", 1)
    assert {name: part.column("text")[0][:9] for name, part in corpus.splits.items()} == {
        "train": "000000000",
        "validation": "000000080",
        "test": "000000090",
    }
    assert "the last rows, since there are few documents" in corpus.notes[-1]


def test_a_model_that_is_scored_splits_nothing(tmp_path: Path) -> None:
    data = texts(tmp_path, test="a\n")
    corpus, *_ = check_documents(read(data), data, "file", None)
    assert set(corpus.splits) == {"test"}


def test_too_little_to_split_is_said(tmp_path: Path) -> None:
    data = texts(tmp_path, train="one\ntwo\n")
    with pytest.raises(DataError, match=r"L09.*too few to make a validation part"):
        check_documents(read(data), data, "file", 1)
    data = jsonl(tmp_path, ["one"] * 3, validation_share=0.5, test_share=0.5)
    with pytest.raises(DataError, match=r"L09.*take all rows"):
        check_documents(read(data), data, "file", 1)


@pytest.mark.parametrize(("bad", "code"), [(None, "L02"), ("  ", "L03")])
def test_a_document_without_a_text_is_a_fault(tmp_path: Path, bad: Any, code: str) -> None:
    data = jsonl(tmp_path, ["one", bad, "two"])
    *_, problems, _ = check_documents(read(data), data, "file", None)
    assert [(problem.code, problem.place[-2:]) for problem in problems] == [(code, ":2")]


def test_or_left_out_when_asked(tmp_path: Path) -> None:
    data = jsonl(tmp_path, ["one", " ", "two"], empty_text="drop")
    corpus, golds, _, notes = check_documents(read(data), data, "file", None)
    assert golds["train"]["documents"].tolist() == [0, 1]
    assert "1 row dropped" in notes[0]
    assert corpus.splits["train"].column("text") == ["one", "two"]


def test_lines_may_be_blank_but_not_all_of_them(tmp_path: Path) -> None:
    data = texts(tmp_path, train="\n \n\n")
    *_, problems, _ = check_documents(read(data), data, "file", None)
    assert [problem.code for problem in problems] == ["L03"]
