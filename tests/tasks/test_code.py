"""Code generation: programs are extracted from answers, and run only on request."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

import llmkit
from llmkit import cli, tasks
from llmkit.base.errors import DataError, UserError
from llmkit.cli import predict
from llmkit.data.checks.columns import object_array
from llmkit.metrics.intervals import wilson
from llmkit.metrics.resampling import Resampling
from llmkit.recipe.schema import Data
from llmkit.sandbox import runner
from llmkit.sandbox.runner import Outcome, Program
from llmkit.tasks.code import NOT_RUN
from tests.samples import rows, write_recipe

SHARES = {"validation_share": 0.0, "test_share": 0.0}
TESTS = "assert double(2) == 4"
ENCODED: Any = None  # is ignored
RIGHT, WRONG = "def double(x): return 2 * x", "def double(x): return x"


def mbpp(number: int, code: str = RIGHT) -> dict[str, Any]:
    return {"text": f"good film {number}", "code": code, "test_list": [TESTS]}


def make_task(checkpoint: Path, **options: Any) -> Any:
    """Make the task for a base model."""
    task = tasks.load({"name": "code", "max_new_tokens": 12, **options})
    config = json.loads((checkpoint / "config.json").read_text())
    return task.bind(config, AutoTokenizer.from_pretrained(checkpoint))


@pytest.fixture
def running(tiny_gpt: Path) -> Any:
    """Make the task that runs programs, if this machine can run them."""
    try:
        runner.run_program(Program("", ""))
    except UserError as error:
        pytest.skip(str(error))
    return make_task(tiny_gpt, run_programs=True)


class AnswerTokenizer:
    """A tokenizer with one id per answer."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def batch_decode(self, ids: list[list[int]], **_: Any) -> list[str]:
        return [self.texts[row[0]] for row in ids]


def predict_texts(task: Any, *texts: str, tests: list[str] | None = None) -> Any:
    """Return the predictions for these generated texts."""
    object.__setattr__(task, "tokenizer", AnswerTokenizer(*texts))
    count = len(texts)
    outputs = {
        "written": np.arange(count)[:, None],
        "written_tokens": np.ones(count, int),
        "written_nats": np.ones(count),
        "nats": np.full(count, 2.0),
        "tokens": np.full(count, 4),
    }
    asked = {"prompt": ["good film"] * count, **({"tests": tests} if tests else {})}
    return task.predictions(outputs, ENCODED, asked)


def test_rows_become_conversations_with_a_note_that_nothing_was_run(
    corpus_of: Callable[..., Any], tiny_gpt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "run_program", None)  # the sandbox must not be used
    monkeypatch.setattr(runner, "run_programs", None)
    task = make_task(tiny_gpt)
    actual = task.check(corpus_of(task, train=[mbpp(1), mbpp(2)]), Data(**SHARES), 1)
    assert actual.references["train"]["texts"].tolist() == [(RIGHT,), (RIGHT,)]
    assert NOT_RUN in actual.notes
    assert "verdicts" not in predict_texts(task, RIGHT, tests=[TESTS])
    assert task.spec.metrics == ("perplexity", "rougeL")


def test_invalid_rows_are_errors(corpus_of: Callable[..., Any], tiny_gpt: Path) -> None:
    task = make_task(tiny_gpt)
    with pytest.raises(DataError) as caught:
        task.check(corpus_of(task, train=[mbpp(1), mbpp(2, "def double(x")]), Data(**SHARES), 1)
    assert [(one.code, one.place) for one in caught.value.details] == [("X02", "train.jsonl:2")]


def test_the_prediction_is_the_program_in_the_answer(tiny_gpt: Path) -> None:
    actual = predict_texts(make_task(tiny_gpt), f"Sure!\n```python\n{RIGHT}\n```\nIt doubles.", "I can not.")
    assert actual["texts"].tolist() == [RIGHT, "I can not."]


def test_each_program_has_a_verdict(running: Any) -> None:
    texts = [
        RIGHT,
        f"```python\n{WRONG}\n```",
        "I can not.",
        "def double(x): open('/etc/passwd')",
        "def double(x): return bytes(1 << 40)",
        "raise SystemExit",
    ]
    actual = predict_texts(running, *texts, tests=[TESTS] * len(texts))
    expected = ["passed", "failed", "no program", "refused", "memory", "failed"]
    assert actual["verdicts"].tolist() == expected
    assert actual["details"][1] == "AssertionError:  at: assert double(2) == 4"
    assert running.correct({}, actual).tolist() == [True, *[False] * 5]
    references = {"texts": object_array([(RIGHT,)] * len(texts))}
    sheet = running.score(references, actual, (), resampling=Resampling(resamples=100, seed=1))
    assert sheet.headline == ("pass@1", "perplexity", "rougeL")
    assert sheet.details["verdicts"] == {
        "failed": 2, "passed": 1, "no program": 1, "refused": 1, "memory": 1
    }  # fmt: skip
    score = sheet.scores["pass@1"]
    assert score.value == pytest.approx(1 / 6)
    assert (score.low, score.high) == pytest.approx(wilson(1, 6, 0.95))
    assert running.score(references, actual, (), resampling=None).values["pass@1"] == pytest.approx(1 / 6)


def test_an_endless_program_is_a_timeout(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runner.run_program
    monkeypatch.setattr(runner, "run_program", lambda program, _: run(program, runner.Limits(seconds=1)))
    actual = predict_texts(running, "def double(x):\n  while True: pass", tests=[TESTS])
    assert actual["verdicts"].tolist() == ["timeout"]


def test_without_tests_nothing_is_run(running: Any) -> None:
    assert "verdicts" not in predict_texts(running, RIGHT)


def test_solutions_that_fail_their_own_tests_are_noted(running: Any, corpus_of: Callable[..., Any]) -> None:
    corpus = corpus_of(running, train=[mbpp(1), mbpp(2, WRONG)], test=[mbpp(3)])
    notes = running.check(corpus, Data(**SHARES), 1).notes
    assert "train: 1 row whose own solution fails its tests: train.jsonl:2 (failed)" in notes
    assert "test: all 1 solutions in the data pass their tests" in notes
    assert not any("not run" in note for note in notes)


def test_a_sandbox_that_does_not_work_is_an_error_before_the_check(
    corpus_of: Callable[..., Any], tiny_gpt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*_: Any) -> Outcome:
        raise UserError("X01", "", "generated programs can't be isolated on this machine", "")

    monkeypatch.setattr(runner, "run_program", unable)
    task = make_task(tiny_gpt, run_programs=True)
    with pytest.raises(UserError, match="X01"):
        task.check(corpus_of(task, train=[mbpp(1)]), Data(**SHARES), 1)


def records_of(task: Any, actual: Any) -> list[dict[str, Any]]:
    count = len(actual["texts"])
    asked = [
        [{"role": "user", "content": f"film {n}"}, {"role": "assistant", "content": "?"}]
        for n in range(count)
    ]
    echo = {"prompt": [turns[0]["content"] for turns in asked], "messages": asked}
    references = {"texts": object_array([(RIGHT,)] * count)}
    records = task.records(echo, actual, (), references)
    return [{"place": f"test.jsonl:{number}", **record} for number, record in enumerate(records)]


def test_records_hold_verdicts(running: Any) -> None:
    actual = predict_texts(running, RIGHT, WRONG, tests=[TESTS] * 2)
    records = records_of(running, actual)
    assert [(one["verdict"], one["detail"][:14]) for one in records] == [
        ("passed", ""),
        ("failed", "AssertionError"),
    ]
    references, again = running.parse_records(records, ())
    assert again["verdicts"].tolist() == ["passed", "failed"]
    _, without = running.parse_records(
        [{k: v for k, v in one.items() if k != "verdict"} for one in records], ()
    )
    assert "verdicts" not in without
    settings = {"resampling": Resampling(resamples=100, seed=1)}
    better = {**again, "verdicts": object_array(["passed", "passed"])}
    assert running.difference(references, better, again, "pass@1", (), **settings).value == pytest.approx(0.5)
    assert running.difference(references, again, without, "perplexity", (), **settings).value == 0


def test_a_passing_program_is_not_among_the_worst_errors(running: Any) -> None:
    actual = predict_texts(running, "def double(y): return y + y", WRONG, tests=[TESTS] * 2)
    worst = running.worst_errors(records_of(running, actual))
    assert [(one["prediction"], one["verdict"]) for one in worst] == [(WRONG, "failed")]


def test_programs_are_printed_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    records = ({"prediction": text} for text in ("def f():\n    return 1", "x = 2"))
    predict._print(records, keep_line_breaks=True)
    assert capsys.readouterr().out == "def f():\n    return 1\n\nx = 2\n"


def test_a_run_reports_what_became_of_its_programs(
    running: Any, tiny_gpt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe("code", tmp_path, tiny_gpt, count=60)
    settings = ["task.run_programs=true", "train.epochs=null", "train.max_steps=60"]
    content = llmkit.finetune(str(recipe), settings, out=tmp_path / "run")
    assert content["headline"][0] == "pass@1"
    assert sum(content["verdicts"].values()) == content["scores"]["pass@1"]["n"]
    assert set(content["baselines"]) == {"untuned"}
    assert "pass@1" in content["baselines"]["untuned"]
    assert "Outcomes of the generated programs" in (tmp_path / "run" / "report.md").read_text()
    again = llmkit.evaluate(str(tmp_path / "run"), run_programs=True)
    assert again["scores"] == content["scores"]
    unasked = llmkit.evaluate(
        str(tmp_path / "run")
    )  # permission in training does not extend to whoever opens the model
    assert set(content["scores"]) - set(unasked["scores"]) == {"pass@1"}
    assert llmkit.compare(tmp_path / "run", tmp_path / "run")["differences"]["pass@1"]["value"] == 0
    capsys.readouterr()
    asked = rows("code", 1, seed=5)[0]
    assert cli._run(["predict", str(tmp_path / "run"), asked["prompt"]]) == 0
    assert capsys.readouterr().out == asked["completion"] + "\n"
