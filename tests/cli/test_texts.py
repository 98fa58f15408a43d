"""Inputs from arguments, files and pipes: groups, tabs, columns, blank lines and errors."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmkit.base.errors import UserError
from llmkit.cli import texts

PAIR = ("text", "text_pair")
QA = ("question", "context")
COLUMNS = {"text": "premise", "text_pair": "hypothesis", "label": "label"}


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def fill(content: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    return fill


def errors_of(call: Callable[[], Any]) -> list[str]:
    with pytest.raises(UserError) as caught:
        list(call())
    return [f"{error.code} {error.place}: {error.message}" for error in caught.value.details]


def write_lines(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_arguments_are_grouped_into_examples() -> None:
    assert list(texts.read_examples(["text"], {}, ["a", "b"], None, "predict")) == [
        {"text": "a"},
        {"text": "b"},
    ]
    assert list(texts.read_examples(PAIR, COLUMNS, ["a", "b", "很", ""], None, "predict")) == [
        {"text": "a", "text_pair": "b"},
        {"text": "很", "text_pair": ""},
    ]


@pytest.mark.parametrize(("arguments", "count"), [(["a"], "1 text"), (["a", "b", "c"], "3 texts")])
def test_incomplete_group_of_arguments_is_an_error(arguments: list[str], count: str) -> None:
    (line,) = errors_of(lambda: texts.read_examples(PAIR, {}, arguments, None, "predict"))
    assert line == f"U01 TEXT: {count} given, but each example of this model needs 2 (text, text_pair)"


def test_question_without_context_suggests_the_option() -> None:
    with pytest.raises(UserError) as caught:
        texts.read_examples(QA, {}, ["Who?"], None, "predict")
    (error,) = caught.value.details
    assert error.fix == "give question and context for each example, or name its file with --context"


def test_tab_separates_the_texts_of_a_line(tmp_path: Path, pipe: Callable[[bytes], None]) -> None:
    expected = [
        {"text": "a b", "text_pair": "c"},
        {"text": "", "text_pair": ""},  # a blank line is a blank example
        {"text": "很", "text_pair": ""},
    ]
    path = write_lines(tmp_path, "pairs.txt", "a b\tc", " ", "很\t")
    assert texts.read_examples(PAIR, COLUMNS, [], path, "predict") == expected
    pipe("\ufeffa b\tc\r\n\n很\t\n".encode())
    assert list(texts.read_examples(PAIR, COLUMNS, [], None, "predict")) == expected


def test_tab_in_a_single_text_is_kept(tmp_path: Path) -> None:
    path = write_lines(tmp_path, "one.txt", "a\tb", "")
    assert list(texts.read_texts([], path, "embed")) == ["a\tb", ""]


def test_all_lines_with_a_wrong_number_of_texts_are_reported(tmp_path: Path) -> None:
    path = write_lines(tmp_path, "pairs.txt", "a\tb", "no tab", "a\tb\tc")
    rest = "but each example of this model needs 2 (text, text_pair)"
    assert errors_of(lambda: texts.read_examples(PAIR, {}, [], path, "predict")) == [
        f"J07 {path}:2: no tab, {rest}",
        f"J07 {path}:3: 3 texts between tabs, {rest}",
    ]


def test_examples_of_a_pipe_come_before_a_later_error(pipe: Callable[[bytes], None]) -> None:
    pipe(b"a\tb\nno tab\n")
    stream = iter(texts.read_examples(PAIR, {}, [], None, "predict"))
    assert next(stream) == {"text": "a", "text_pair": "b"}
    assert errors_of(lambda: stream)[0].startswith("J07 stdin:2: no tab")


def test_columns_of_the_training_data_take_precedence(tmp_path: Path) -> None:
    rows = [
        {"premise": "a", "hypothesis": "b", "text": "another column of the same file"},
        {"text": "c", "text_pair": "d"},
    ]
    path = write_lines(tmp_path, "pairs.jsonl", *map(json.dumps, rows))
    assert texts.read_examples(PAIR, COLUMNS, [], path, "predict") == [
        {"text": "a", "text_pair": "b"},
        {"text": "c", "text_pair": "d"},
    ]


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.tsv", "pairs.csv.gz"])
def test_csv_and_tsv_files_have_columns(tmp_path: Path, name: str) -> None:
    lines = ["hypothesis,premise,label", "b,很,yes"]
    content = "\n".join(lines).replace(",", "\t" if "tsv" in name else ",").encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    examples = texts.read_examples(PAIR, COLUMNS, [], tmp_path / name, "predict")
    assert examples == [{"text": "很", "text_pair": "b"}]


def test_squad_file_is_read(tmp_path: Path) -> None:
    paragraph = {"context": "It is red.", "qas": [{"id": "1", "question": "What?", "answers": []}]}
    path = write_lines(tmp_path, "q.json", json.dumps({"data": [{"title": "t", "paragraphs": [paragraph]}]}))
    examples = texts.read_examples(QA, {}, [], path, "predict")
    assert examples == [{"question": "What?", "context": "It is red."}]


def test_all_rows_without_a_text_are_reported(tmp_path: Path) -> None:
    rows = [{"premise": "a"}, {"premise": None, "hypothesis": "b"}, {"premise": 3, "hypothesis": "b"}]
    path = write_lines(tmp_path, "pairs.jsonl", *map(json.dumps, rows))
    assert errors_of(lambda: texts.read_examples(PAIR, COLUMNS, [], path, "predict")) == [
        f'L02 {path}:1: the row has no string in column "text_pair" or "hypothesis"',
        f'L02 {path}:2: the row has no string in column "text" or "premise"',
        f'L02 {path}:3: the row has no string in column "text" or "premise"',
    ]


def test_missing_inputs_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "no.txt"
    assert errors_of(lambda: texts.read_examples(["text"], {}, [], missing, "predict")) == [
        f"F01 {missing}: no such file"
    ]
    assert errors_of(lambda: texts.read_document(missing)) == [f"F01 {missing}: no such file"]
    assert errors_of(lambda: texts.read_examples(["text"], {}, ["a"], missing, "predict")) == [
        "U01 --file: cannot be combined with texts on the command line"
    ]
    monkeypatch.setattr("sys.stdin", None)
    assert errors_of(lambda: texts.read_examples(["text"], {}, [], None, "predict")) == [
        "U01 predict: no input"
    ]
    assert errors_of(lambda: texts.read_examples(["text"], {}, ["a", "\udce9"], None, "predict")) == [
        "F07 text 2: the text is not UTF-8"
    ]


def test_document_keeps_its_characters(tmp_path: Path) -> None:
    path = tmp_path / "context.txt"
    path.write_bytes("\ufeffFirst line.\n\n第二行。".encode())
    assert texts.read_document(path) == "First line.\n\n第二行。"
    path.write_bytes(b" \n\t\n")
    assert errors_of(lambda: texts.read_document(path)) == [f"L03 {path}: the text is empty or blank"]
    path.write_bytes(b"caf\xe9\n")
    assert errors_of(lambda: texts.read_document(path))[0].startswith(
        f"F07 {path}:1:4: not valid UTF-8 (byte 0xe9)"
    )
