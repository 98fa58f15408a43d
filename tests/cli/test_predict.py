"""`llmkit predict`: texts from the command line, a pipe or a file; answers as lines, JSON or a file."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TEXTS = ["a great superb film", "an awful stale plot"]


def pipe(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_each_text_gets_a_line_of_label_probability_and_text(
    command: Callable[..., Any], finished: Path
) -> None:
    done = command("predict", finished, *TEXTS)
    assert done.code == 0
    lines = [line.split("\t") for line in done.out.splitlines()]
    assert [(label, text) for label, _, text in lines] == [("positive", TEXTS[0]), ("negative", TEXTS[1])]
    assert all(0.5 <= float(probability) <= 1 for _, probability, _ in lines)


def test_json_is_one_object_with_all_predictions(command: Callable[..., Any], finished: Path) -> None:
    done = command("predict", finished, *TEXTS, "--json")
    assert done.json["model"] == str(finished)
    first = done.json["predictions"][0]
    assert first["prediction"] == "positive"
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    assert set(first["logits"]) == {"negative", "positive"}


def test_a_pipe_gives_one_text_a_line_in_order(
    command: Callable[..., Any], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe(monkeypatch, "\ufeffa great superb film\r\n\n很 awful stale plot\n".encode())
    done = command("predict", finished)
    assert [line.split("\t")[::2] for line in done.out.splitlines()] == [
        ["positive", "a great superb film"],
        ["-", ""],
        ["negative", "很 awful stale plot"],
    ]
    assert "1 blank texts have no prediction" in done.err


def test_out_writes_one_json_object_a_line(
    command: Callable[..., Any], finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "answers.jsonl"
    done = command("predict", finished, *TEXTS, "--out", out)
    assert done.out == f"predictions in {out}\n"
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [record["text"] for record in records] == TEXTS


@pytest.mark.parametrize("name", ["texts.txt", "texts.csv"])
def test_texts_come_from_a_file(
    command: Callable[..., Any], finished: Path, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    header = [] if name.endswith(".txt") else ["text"]
    file.write_text("\n".join([*header, *TEXTS]) + "\n", encoding="utf-8")
    done = command("predict", finished, "--file", file)
    assert [line.split("\t")[2] for line in done.out.splitlines()] == TEXTS


def test_bytes_that_are_no_utf8_are_refused_with_their_line(
    command: Callable[..., Any], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe(monkeypatch, b"good\ncaf\xe9\n")
    done = command("predict", finished)
    assert done.code == 2
    assert done.err == "error[F07] stdin:2: the text is not UTF-8. Fix: convert it, e.g. with iconv\n"


def test_texts_and_a_file_exclude_each_other(command: Callable[..., Any], finished: Path) -> None:
    done = command("predict", finished, "a text", "--file", "texts.txt")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error[U01] --file: ")


def test_an_unfinished_run_has_no_model(command: Callable[..., Any], unfinished: Path) -> None:
    done = command("predict", unfinished, "a text")
    assert done.code == 2
    assert done.err.startswith(f"error[R05] {unfinished}: ")


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("no.txt", None, "error[F01] no.txt: no such file"),
        ("a.txt", b"good\ncaf\xe9 bar\n", "error[F07] a.txt:2:4: byte 0xE9 is not utf-8"),
        ("a.jsonl", b'{"text": "a"}\n{"text": null}\n', 'error[L02] a.jsonl:2: the row has no "text"'),
        ("a.jsonl", b'{"text": "a"\n', "error[J01] a.jsonl:1:"),
    ],
)
def test_a_faulty_file_is_told_before_any_answer(
    command: Callable[..., Any], finished: Path, tmp_path: Path, name: str, content: bytes | None, line: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = command("predict", finished, "--file", name)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(line)
    assert done.err.count("\n") == 1
