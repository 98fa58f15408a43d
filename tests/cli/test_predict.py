"""`llmkit predict`: inputs from arguments, a pipe or a file; predictions as lines, JSON or a file."""

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
from llmkit.cli.predict import _print
from tests.samples import rows, write, write_recipe

TEXTS = ["a great superb film", "an awful stale plot"]


def pipe(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_each_text_gets_a_line_of_label_probability_and_text(
    command: Callable[..., Any], finished: Path
) -> None:
    outcome = command("predict", finished, *TEXTS)
    assert outcome.code == 0
    lines = [line.split("\t") for line in outcome.out.splitlines()]
    assert [(label, text) for label, _, text in lines] == [("positive", TEXTS[0]), ("negative", TEXTS[1])]
    assert all(0.5 <= float(probability) <= 1 for _, probability, _ in lines)


def test_json_has_all_predictions(command: Callable[..., Any], finished: Path) -> None:
    outcome = command("predict", finished, *TEXTS, "--json")
    assert outcome.json["model"] == str(finished)
    first = outcome.json["predictions"][0]
    assert first["prediction"] == "positive"
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    assert set(first["logits"]) == {"negative", "positive"}


def test_piped_lines_are_predicted_in_order(
    command: Callable[..., Any], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe(monkeypatch, "\ufeffa great superb film\r\n\n很 awful stale plot\n".encode())
    outcome = command("predict", finished)
    assert [line.split("\t")[::2] for line in outcome.out.splitlines()] == [
        ["positive", "a great superb film"],
        ["-", ""],
        ["negative", "很 awful stale plot"],
    ]
    assert "1 blank texts have no prediction" in outcome.err


def test_out_writes_one_json_object_per_line(
    command: Callable[..., Any], finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "predictions.jsonl"
    outcome = command("predict", finished, *TEXTS, "--out", out)
    assert outcome.out == f"predictions written to {out}\n"
    records = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [record["text"] for record in records] == TEXTS


@pytest.mark.parametrize("name", ["texts.txt", "texts.csv"])
def test_texts_are_read_from_a_file(
    command: Callable[..., Any], finished: Path, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    header = [] if name.endswith(".txt") else ["text"]
    file.write_text("\n".join([*header, *TEXTS]) + "\n", encoding="utf-8")
    outcome = command("predict", finished, "--file", file)
    assert [line.split("\t")[2] for line in outcome.out.splitlines()] == TEXTS


def test_invalid_utf8_is_reported_with_its_line(
    command: Callable[..., Any], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe(monkeypatch, b"good\ncaf\xe9\n")
    outcome = command("predict", finished)
    assert outcome.code == 2
    assert outcome.err == "error[F07] stdin:2: the text is not UTF-8. Fix: convert it, e.g. with iconv\n"


def test_texts_and_a_file_cannot_be_combined(command: Callable[..., Any], finished: Path) -> None:
    outcome = command("predict", finished, "a text", "--file", "texts.txt")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error[U01] --file: ")


def test_unfinished_run_is_an_error(command: Callable[..., Any], unfinished: Path) -> None:
    outcome = command("predict", unfinished, "a text")
    assert outcome.code == 2
    assert outcome.err.startswith(f"error[R05] {unfinished}: ")


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
def test_errors_in_a_file_come_before_any_prediction(
    command: Callable[..., Any], finished: Path, tmp_path: Path, name: str, content: bytes | None, line: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    outcome = command("predict", finished, "--file", name)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(line)
    assert outcome.err.count("\n") == 1


COLUMNS = {"text": "premise", "text_pair": "hypothesis"}
SETTINGS = ["train.epochs=null", "train.max_steps=60", "evaluate.baselines=false"]
CONTEXT = (
    "the plot was dull\r\nit is 7 and the film was rather fine . " + "the scene was stale . " * 30 + "\n"
)


@pytest.fixture(scope="module")
def train_task(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the run of a task, trained on first use. The data of pairs has column names of its own."""

    @cache
    def train(task: str) -> Path:
        folder = tmp_path_factory.mktemp(task)
        recipe = write_recipe(task, folder, tiny_bert)
        overrides = []
        if task == "pair_classification":
            renamed = [
                {COLUMNS.get(name, name): value for name, value in row.items()} for row in rows(task, 200)
            ]
            write(folder / f"{task}.jsonl", renamed)
            overrides = [f"data.columns.{name}={column}" for name, column in COLUMNS.items()]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LLMKIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
            llmkit.finetune(str(recipe), [*SETTINGS, *overrides], out=folder / "run")
        return folder / "run"

    return train


TrainTask = Callable[[str], Path]
Command = Callable[..., Any]


def _cells(outcome: Any) -> list[list[str]]:
    assert outcome.code == 0, outcome.err
    return [line.split("\t") for line in outcome.out.splitlines()]


def test_pairs_take_two_arguments_each(command: Command, train_task: TrainTask) -> None:
    run = train_task("pair_classification")
    lines = _cells(command("predict", run, "the film", "a great superb film", "the film", "awful stale"))
    assert [cells[2:] for cells in lines] == [
        ["the film", "a great superb film"],
        ["the film", "awful stale"],
    ]
    assert all(cells[0] in ("yes", "no") and 0.5 <= float(cells[1]) <= 1 for cells in lines)
    outcome = command("predict", run, "the film", "great", "alone")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "error[U01] TEXT: 3 texts given, but each example of this model needs 2 (text, text_pair). "
        "Fix: give text and text_pair for each example\n"
    )


def test_pairs_of_a_file_keep_its_line_order(command: Command, train_task: TrainTask, tmp_path: Path) -> None:
    run, lines = train_task("pair_classification"), tmp_path / "pairs.txt"
    lines.write_text("the film\tgreat\n\nthe film\tawful\n", encoding="utf-8")
    outcome = command("predict", run, "--file", lines)
    assert [cells[2:] for cells in _cells(outcome)] == [
        ["the film", "great"],
        ["", ""],
        ["the film", "awful"],
    ]
    assert _cells(outcome)[1][:2] == ["-", ""]
    assert "1 blank texts have no prediction" in outcome.err
    data_file = tmp_path / "pairs.jsonl"
    data_file.write_text(json.dumps({"hypothesis": "great", "premise": "the film"}) + "\n", encoding="utf-8")
    (first,) = _cells(command("predict", run, "--file", data_file))
    assert first == _cells(outcome)[0]


def test_context_for_a_model_without_context_is_an_error(
    command: Command, train_task: TrainTask, tmp_path: Path
) -> None:
    (tmp_path / "c.txt").write_text("a film", encoding="utf-8")
    outcome = command("predict", train_task("pair_classification"), "a", "b", "--context", "c.txt")
    assert (outcome.code, outcome.out) == (2, "")
    assert (
        outcome.err
        == "error[U01] --context: this model takes no context; its inputs are text, text_pair. Fix: leave it out\n"
    )


def test_regression_has_no_probability(command: Command, train_task: TrainTask) -> None:
    run = train_task("regression")
    lines = _cells(command("predict", run, "great great great great", "awful awful awful awful"))
    assert [cells[1:] for cells in lines] == [
        ["", "great great great great"],
        ["", "awful awful awful awful"],
    ]
    high, low = (float(cells[0]) for cells in lines)
    assert high > low
    assert all(re.fullmatch(r"-?\d+\.\d{3}", cells[0]) for cells in lines)
    first, _ = command("predict", run, "great great great great", "awful", "--json").json["predictions"]
    assert first["prediction"] == pytest.approx(high, abs=5e-4)
    assert first["probability"] is None


def test_multiple_labels_are_listed_or_none(command: Command, train_task: TrainTask) -> None:
    run = train_task("multi_label")
    lines = _cells(command("predict", run, "great 7 the film", "the film was", "  "))
    records = command("predict", run, "great 7 the film", "the film was", "  ", "--json").json["predictions"]
    assert [cells[0] for cells in lines] == [
        ", ".join(records[0]["prediction"]) or "none",
        ", ".join(records[1]["prediction"]) or "none",
        "-",
    ]
    assert set(records[0]["probabilities"]) == {"good", "bad", "number"}
    assert records[2]["prediction"] is None


def test_entities_have_types_and_positions(command: Command, train_task: TrainTask, tmp_path: Path) -> None:
    run, text = train_task("token_classification"), "the film was great and 7 7"
    out = tmp_path / "entities.jsonl"
    assert command("predict", run, text, "the film was", "--out", out).code == 0
    first, second = (json.loads(line) for line in out.read_text(encoding="utf-8").splitlines())
    for entity in first["prediction"]:
        assert text[entity["start"] : entity["end"]] == entity["text"]
    assert first["prediction"], "the tiny model finds an entity"
    expected = [
        ", ".join(f"{e['text']} ({e['label']})" for e in r["prediction"]) or "none" for r in (first, second)
    ]
    assert [cells[0] for cells in _cells(command("predict", run, text, "the film was"))] == expected


def test_questions_take_their_context_from_a_long_file(
    command: Command, train_task: TrainTask, tmp_path: Path
) -> None:
    run, context = train_task("extractive_qa"), tmp_path / "context.txt"
    context.write_bytes(CONTEXT.encode())
    lines = _cells(command("predict", run, "is it good", "", "--context", context))
    assert lines[0][2] == "is it good"
    assert lines[1] == ["-", "", ""]
    (record,) = command("predict", run, "is it good", "--context", context, "--json").json["predictions"]
    assert CONTEXT[record["start"] : record["end"]] == record["prediction"]
    example = {"question": "is it good", "context": CONTEXT}
    assert [record] == list(llmkit.predict(str(run), [example]))  # with the same line breaks
    assert lines[0] == [
        " ".join(record["prediction"].split()),
        f"{record['probability']:.3f}",
        "is it good",
        " ".join(record["sentence"].split()),
    ]
    questions = tmp_path / "questions.txt"
    questions.write_text("is it good\nis it bad\n", encoding="utf-8")
    assert [
        cells[2] for cells in _cells(command("predict", run, "--file", questions, "--context", context))
    ] == [
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
def test_usage_errors_with_questions_are_one_line(
    command: Command, train_task: TrainTask, tmp_path: Path, arguments: list[str], line: str
) -> None:
    (tmp_path / "blank.txt").write_text("\n \n", encoding="utf-8")
    (tmp_path / "context.txt").write_text("a film", encoding="utf-8")
    outcome = command("predict", train_task("extractive_qa"), *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(line)
    assert outcome.err.count("\n") == 1


def test_unanswerable_question_prints_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    _print(
        [{"question": "is\tit?", "prediction": "", "probability": 0.75, "sentence": None}],
        keep_line_breaks=False,
    )
    assert capsys.readouterr().out == "no answer\t0.750\tis it?\t\n"
