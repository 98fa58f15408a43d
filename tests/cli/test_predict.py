"""`llmkit predict`: texts from the command line, a pipe or a file; answers as lines, JSON or a file."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import llmkit
from tests.samples import rows, write, write_recipe

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
    assert done.out == f"predictions written to {out}\n"
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
        ("a.txt", b"good\ncaf\xe9 bar\n", "error[F07] a.txt:2:4: not valid UTF-8 (byte 0xe9)"),
        (
            "a.jsonl",
            b'{"text": "a"}\n{"text": null}\n',
            'error[L02] a.jsonl:2: the row has no string in column "text"',
        ),
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


COLUMNS = {"text": "premise", "text_pair": "hypothesis"}
SETTINGS = ["train.epochs=null", "train.max_steps=60", "evaluate.baselines=false"]
CONTEXT = (
    "the plot was dull\r\nit is 7 and the film was rather fine . " + "the scene was stale . " * 30 + "\n"
)


@pytest.fixture(scope="module")
def run_of(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The run of a task, made when first asked for; the pairs' data have columns of their own."""

    @cache
    def train(task: str) -> Path:
        folder = tmp_path_factory.mktemp(task)
        recipe = write_recipe(task, folder, tiny_bert)
        more = []
        if task == "pair_classification":
            renamed = [
                {COLUMNS.get(name, name): value for name, value in row.items()} for row in rows(task, 200)
            ]
            write(folder / f"{task}.jsonl", renamed)
            more = [f"data.columns.{name}={own}" for name, own in COLUMNS.items()]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LLMKIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
            llmkit.finetune(str(recipe), [*SETTINGS, *more], out=folder / "run")
        return folder / "run"

    return train


RunOf = Callable[[str], Path]
Command = Callable[..., Any]


def _cells(done: Any) -> list[list[str]]:
    assert done.code == 0, done.err
    return [line.split("\t") for line in done.out.splitlines()]


def test_pairs_are_two_arguments_each_and_both_are_shown(command: Command, run_of: RunOf) -> None:
    run = run_of("pair_classification")
    found = _cells(command("predict", run, "the film", "a great superb film", "the film", "awful stale"))
    assert [cells[2:] for cells in found] == [
        ["the film", "a great superb film"],
        ["the film", "awful stale"],
    ]
    assert all(cells[0] in ("yes", "no") and 0.5 <= float(cells[1]) <= 1 for cells in found)
    done = command("predict", run, "the film", "great", "alone")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error[U01] TEXT: 3 texts given, but each example of this model needs 2 (text, text_pair). "
        "Fix: give text and text_pair for each example\n"
    )


def test_pairs_of_a_file_keep_the_numbers_of_its_lines(
    command: Command, run_of: RunOf, tmp_path: Path
) -> None:
    run, lines = run_of("pair_classification"), tmp_path / "pairs.txt"
    lines.write_text("the film\tgreat\n\nthe film\tawful\n", encoding="utf-8")
    done = command("predict", run, "--file", lines)
    assert [cells[2:] for cells in _cells(done)] == [["the film", "great"], ["", ""], ["the film", "awful"]]
    assert _cells(done)[1][:2] == ["-", ""]
    assert "1 blank texts have no prediction" in done.err
    own = tmp_path / "pairs.jsonl"
    own.write_text(json.dumps({"hypothesis": "great", "premise": "the film"}) + "\n", encoding="utf-8")
    (first,) = _cells(command("predict", run, "--file", own))
    assert first == _cells(done)[0]


def test_a_context_for_a_model_that_reads_none_is_one_line(
    command: Command, run_of: RunOf, tmp_path: Path
) -> None:
    (tmp_path / "c.txt").write_text("a film", encoding="utf-8")
    done = command("predict", run_of("pair_classification"), "a", "b", "--context", "c.txt")
    assert (done.code, done.out) == (2, "")
    assert (
        done.err
        == "error[U01] --context: this model takes no context; its inputs are text, text_pair. Fix: leave it out\n"
    )


def test_a_number_has_no_probability(command: Command, run_of: RunOf) -> None:
    run = run_of("regression")
    found = _cells(command("predict", run, "great great great great", "awful awful awful awful"))
    assert [cells[1:] for cells in found] == [
        ["", "great great great great"],
        ["", "awful awful awful awful"],
    ]
    high, low = (float(cells[0]) for cells in found)
    assert high > low
    assert all(re.fullmatch(r"-?\d+\.\d{3}", cells[0]) for cells in found)
    first, _ = command("predict", run, "great great great great", "awful", "--json").json["predictions"]
    assert first["prediction"] == pytest.approx(high, abs=5e-4)
    assert first["probability"] is None


def test_labels_are_listed_and_none_is_said(command: Command, run_of: RunOf) -> None:
    run = run_of("multi_label")
    found = _cells(command("predict", run, "great 7 the film", "the film was", "  "))
    records = command("predict", run, "great 7 the film", "the film was", "  ", "--json").json["predictions"]
    assert [cells[0] for cells in found] == [
        ", ".join(records[0]["prediction"]) or "none",
        ", ".join(records[1]["prediction"]) or "none",
        "-",
    ]
    assert set(records[0]["probabilities"]) == {"good", "bad", "number"}
    assert records[2]["prediction"] is None


def test_entities_are_listed_with_their_types_and_places(
    command: Command, run_of: RunOf, tmp_path: Path
) -> None:
    run, text = run_of("token_classification"), "the film was great and 7 7"
    out = tmp_path / "found.jsonl"
    assert command("predict", run, text, "the film was", "--out", out).code == 0
    first, second = (json.loads(line) for line in out.read_text(encoding="utf-8").splitlines())
    for entity in first["prediction"]:
        assert text[entity["start"] : entity["end"]] == entity["text"]
    assert first["prediction"], "the tiny model finds something"
    said = [
        ", ".join(f"{e['text']} ({e['label']})" for e in r["prediction"]) or "none" for r in (first, second)
    ]
    assert [cells[0] for cells in _cells(command("predict", run, text, "the film was"))] == said


def test_questions_are_asked_about_a_text_of_any_length(
    command: Command, run_of: RunOf, tmp_path: Path
) -> None:
    run, context = run_of("extractive_qa"), tmp_path / "context.txt"
    context.write_bytes(CONTEXT.encode())
    found = _cells(command("predict", run, "is it good", "", "--context", context))
    assert found[0][2] == "is it good"
    assert found[1] == ["-", "", ""]
    (record,) = command("predict", run, "is it good", "--context", context, "--json").json["predictions"]
    assert CONTEXT[record["start"] : record["end"]] == record["prediction"]
    whole = {"question": "is it good", "context": CONTEXT}
    assert [record] == list(llmkit.predict(str(run), [whole]))  # to the last character
    assert found[0] == [
        " ".join(record["prediction"].split()),
        f"{record['probability']:.3f}",
        "is it good",
        " ".join(record["sentence"].split()),
    ]
    asked = tmp_path / "questions.txt"
    asked.write_text("is it good\nis it bad\n", encoding="utf-8")
    assert [cells[2] for cells in _cells(command("predict", run, "--file", asked, "--context", context))] == [
        "is it good",
        "is it bad",
    ]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["is it"],
            "error[U01] TEXT: 1 text given, but each example of this model needs 2 (question, context)",
        ),
        (["is it", "--context", "no.txt"], "error[F01] no.txt: no such file"),
        (["is it", "--context", "blank.txt"], "error[L03] blank.txt: the text is empty or blank"),
        (["--context", "context.txt", "--file", "no.txt"], "error[F01] no.txt: no such file"),
    ],
)
def test_mistakes_with_questions_are_one_line(
    command: Command, run_of: RunOf, tmp_path: Path, arguments: list[str], line: str
) -> None:
    (tmp_path / "blank.txt").write_text("\n \n", encoding="utf-8")
    (tmp_path / "context.txt").write_text("a film", encoding="utf-8")
    done = command("predict", run_of("extractive_qa"), *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(line)
    assert done.err.count("\n") == 1


def test_a_question_without_an_answer_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    from llmkit.cli.predict import _print

    _print([{"question": "is\tit?", "prediction": "", "probability": 0.75, "sentence": None}])
    assert capsys.readouterr().out == "no answer\t0.750\tis it?\t\n"
