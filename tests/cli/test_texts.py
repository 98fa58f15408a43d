"""Texts from the command line, files and pipes: groups, tabs, columns, blank lines, and every fault in one line."""

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


def _faults(call: Callable[[], Any]) -> list[str]:
    with pytest.raises(UserError) as caught:
        list(call())
    return [f"{problem.code} {problem.place}: {problem.message}" for problem in caught.value.details]


def _lines(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_given_texts_are_taken_in_groups() -> None:
    assert list(texts.examples(["text"], {}, ["a", "b"], None, "predict")) == [{"text": "a"}, {"text": "b"}]
    assert list(texts.examples(PAIR, COLUMNS, ["a", "b", "很", ""], None, "predict")) == [
        {"text": "a", "text_pair": "b"},
        {"text": "很", "text_pair": ""},
    ]


@pytest.mark.parametrize(("given", "count"), [(["a"], "1 text"), (["a", "b", "c"], "3 texts")])
def test_an_odd_number_of_texts_is_one_line(given: list[str], count: str) -> None:
    (line,) = _faults(lambda: texts.examples(PAIR, {}, given, None, "predict"))
    assert line == f"U01 TEXT: {count} given, but each example of this model needs 2 (text, text_pair)"


def test_a_question_without_its_text_is_told_of_the_option() -> None:
    with pytest.raises(UserError) as caught:
        texts.examples(QA, {}, ["Who?"], None, "predict")
    (problem,) = caught.value.details
    assert problem.fix == "give question and context for each example, or name its file with --context"


def test_a_tab_stands_between_the_texts_of_a_line(tmp_path: Path, pipe: Callable[[bytes], None]) -> None:
    expected = [
        {"text": "a b", "text_pair": "c"},
        {"text": "", "text_pair": ""},  # a blank line keeps its number
        {"text": "很", "text_pair": ""},
    ]
    path = _lines(tmp_path, "pairs.txt", "a b\tc", " ", "很\t")
    assert texts.examples(PAIR, COLUMNS, [], path, "predict") == expected
    pipe("\ufeffa b\tc\r\n\n很\t\n".encode())
    assert list(texts.examples(PAIR, COLUMNS, [], None, "predict")) == expected


def test_a_tab_in_a_single_text_is_part_of_it(tmp_path: Path) -> None:
    path = _lines(tmp_path, "one.txt", "a\tb", "")
    assert list(texts.plain([], path, "embed")) == ["a\tb", ""]


def test_all_lines_with_a_wrong_number_of_texts_are_told_at_once(tmp_path: Path) -> None:
    path = _lines(tmp_path, "pairs.txt", "a\tb", "no tab", "a\tb\tc")
    where = "but each example of this model needs 2 (text, text_pair)"
    assert _faults(lambda: texts.examples(PAIR, {}, [], path, "predict")) == [
        f"J07 {path}:2: no tab, {where}",
        f"J07 {path}:3: 3 texts between tabs, {where}",
    ]


def test_a_pipe_answers_what_came_before_the_fault(pipe: Callable[[bytes], None]) -> None:
    pipe(b"a\tb\nno tab\n")
    stream = iter(texts.examples(PAIR, {}, [], None, "predict"))
    assert next(stream) == {"text": "a", "text_pair": "b"}
    assert _faults(lambda: stream)[0].startswith("J07 stdin:2: no tab")


def test_columns_are_the_runs_own_or_the_usual_ones(tmp_path: Path) -> None:
    rows = [
        {"premise": "a", "hypothesis": "b", "text": "another column of the same file"},
        {"text": "c", "text_pair": "d"},
    ]
    path = _lines(tmp_path, "pairs.jsonl", *map(json.dumps, rows))
    assert texts.examples(PAIR, COLUMNS, [], path, "predict") == [
        {"text": "a", "text_pair": "b"},
        {"text": "c", "text_pair": "d"},
    ]


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.tsv", "pairs.csv.gz"])
def test_tables_have_columns_too(tmp_path: Path, name: str) -> None:
    lines = ["hypothesis,premise,label", "b,很,yes"]
    content = "\n".join(lines).replace(",", "\t" if "tsv" in name else ",").encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    found = texts.examples(PAIR, COLUMNS, [], tmp_path / name, "predict")
    assert found == [{"text": "很", "text_pair": "b"}]


def test_a_file_of_questions_in_the_form_of_squad_is_read(tmp_path: Path) -> None:
    paragraph = {"context": "It is red.", "qas": [{"id": "1", "question": "What?", "answers": []}]}
    path = _lines(tmp_path, "q.json", json.dumps({"data": [{"title": "t", "paragraphs": [paragraph]}]}))
    found = texts.examples(QA, {}, [], path, "predict")
    assert found == [{"question": "What?", "context": "It is red."}]


def test_rows_without_a_text_are_all_told_with_the_column(tmp_path: Path) -> None:
    rows = [{"premise": "a"}, {"premise": None, "hypothesis": "b"}, {"premise": 3, "hypothesis": "b"}]
    path = _lines(tmp_path, "pairs.jsonl", *map(json.dumps, rows))
    assert _faults(lambda: texts.examples(PAIR, COLUMNS, [], path, "predict")) == [
        f'L02 {path}:1: the row has no string in column "text_pair" or "hypothesis"',
        f'L02 {path}:2: the row has no string in column "text" or "premise"',
        f'L02 {path}:3: the row has no string in column "text" or "premise"',
    ]


def test_faults_of_the_place_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "no.txt"
    assert _faults(lambda: texts.examples(["text"], {}, [], missing, "predict")) == [
        f"F01 {missing}: no such file"
    ]
    assert _faults(lambda: texts.whole(missing)) == [f"F01 {missing}: no such file"]
    assert _faults(lambda: texts.examples(["text"], {}, ["a"], missing, "predict")) == [
        "U01 --file: cannot be combined with texts on the command line"
    ]
    monkeypatch.setattr("sys.stdin", None)
    assert _faults(lambda: texts.examples(["text"], {}, [], None, "predict")) == ["U01 predict: no input"]
    assert _faults(lambda: texts.examples(["text"], {}, ["a", "\udce9"], None, "predict")) == [
        "F07 text 2: the text is not UTF-8"
    ]


def test_a_whole_file_keeps_its_characters_and_their_places(tmp_path: Path) -> None:
    path = tmp_path / "context.txt"
    path.write_bytes("\ufeffFirst line.\n\n第二行。".encode())
    assert texts.whole(path) == "First line.\n\n第二行。"
    path.write_bytes(b" \n\t\n")
    assert _faults(lambda: texts.whole(path)) == [f"L03 {path}: the text is empty or blank"]
    path.write_bytes(b"caf\xe9\n")
    assert _faults(lambda: texts.whole(path))[0].startswith(f"F07 {path}:1:4: not valid UTF-8 (byte 0xe9)")
