"""Code: programs learned as answers, told apart from the words around them, and run only when asked for."""

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
ENCODED: Any = None  # is not looked at
RIGHT, WRONG = "def double(x): return 2 * x", "def double(x): return x"


def mbpp(number: int, code: str = RIGHT) -> dict[str, Any]:
    return {"text": f"good film {number}", "code": code, "test_list": [TESTS]}


def made(checkpoint: Path, **options: Any) -> Any:
    """The task, knowing the checkpoint."""
    task = tasks.load({"name": "code", "max_new_tokens": 12, **options})
    config = json.loads((checkpoint / "config.json").read_text())
    return task.bind(config, AutoTokenizer.from_pretrained(checkpoint))


@pytest.fixture
def running(tiny_gpt: Path) -> Any:
    """The task that runs programs, where this machine can."""
    try:
        runner.run_program(Program("", ""))
    except UserError as error:
        pytest.skip(str(error))
    return made(tiny_gpt, run_programs=True)


class Said:
    """A tokenizer whose ids stand for whole answers."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def batch_decode(self, ids: list[list[int]], **_: Any) -> list[str]:
        return [self.texts[row[0]] for row in ids]


def answered(task: Any, *texts: str, tests: list[str] | None = None) -> Any:
    """The answers of the task where the model has written these texts."""
    object.__setattr__(task, "tokenizer", Said(*texts))
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


def test_rows_become_conversations_and_say_that_nothing_was_run(
    corpus_of: Callable[..., Any], tiny_gpt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "run_program", None)  # nothing of the sandbox is touched
    monkeypatch.setattr(runner, "run_programs", None)
    task = made(tiny_gpt)
    found = task.check(corpus_of(task, train=[mbpp(1), mbpp(2)]), Data(**SHARES), 1)
    assert found.references["train"]["texts"].tolist() == [(RIGHT,), (RIGHT,)]
    assert NOT_RUN in found.notes
    assert "verdicts" not in answered(task, RIGHT, tests=[TESTS])
    assert task.spec.metrics == ("perplexity", "rougeL")


def test_faulty_rows_stop_the_check(corpus_of: Callable[..., Any], tiny_gpt: Path) -> None:
    task = made(tiny_gpt)
    with pytest.raises(DataError) as caught:
        task.check(corpus_of(task, train=[mbpp(1), mbpp(2, "def double(x")]), Data(**SHARES), 1)
    assert [(one.code, one.place) for one in caught.value.details] == [("X02", "train.jsonl:2")]


def test_the_answer_is_the_program_in_what_was_written(tiny_gpt: Path) -> None:
    found = answered(made(tiny_gpt), f"Sure!\n```python\n{RIGHT}\n```\nIt doubles.", "I can not.")
    assert found["texts"].tolist() == [RIGHT, "I can not."]


def test_each_program_has_a_verdict(running: Any) -> None:
    texts = [
        RIGHT,
        f"```python\n{WRONG}\n```",
        "I can not.",
        "def double(x): open('/etc/passwd')",
        "def double(x): return bytes(1 << 40)",
        "raise SystemExit",
    ]
    found = answered(running, *texts, tests=[TESTS] * len(texts))
    expected = ["passed", "failed", "no program", "refused", "memory", "failed"]
    assert found["verdicts"].tolist() == expected
    assert found["details"][1] == "AssertionError:  at: assert double(2) == 4"
    assert running.correct({}, found).tolist() == [True, *[False] * 5]
    references = {"texts": object_array([(RIGHT,)] * len(texts))}
    sheet = running.score(references, found, (), resampling=Resampling(resamples=100, seed=1))
    assert sheet.headline == ("pass@1", "perplexity", "rougeL")
    assert sheet.details["verdicts"] == {
        "failed": 2, "passed": 1, "no program": 1, "refused": 1, "memory": 1
    }  # fmt: skip
    score = sheet.scores["pass@1"]
    assert score.value == pytest.approx(1 / 6)
    assert (score.low, score.high) == pytest.approx(wilson(1, 6, 0.95))
    assert running.score(references, found, (), resampling=None).values["pass@1"] == pytest.approx(1 / 6)


def test_an_endless_program_is_a_timeout(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runner.run_program
    monkeypatch.setattr(runner, "run_program", lambda program, _: run(program, runner.Limits(seconds=1)))
    found = answered(running, "def double(x):\n  while True: pass", tests=[TESTS])
    assert found["verdicts"].tolist() == ["timeout"]


def test_a_question_without_tests_is_answered_and_nothing_run(running: Any) -> None:
    assert "verdicts" not in answered(running, RIGHT)


def test_solutions_that_fail_their_own_tests_are_named(running: Any, corpus_of: Callable[..., Any]) -> None:
    corpus = corpus_of(running, train=[mbpp(1), mbpp(2, WRONG)], test=[mbpp(3)])
    notes = running.check(corpus, Data(**SHARES), 1).notes
    assert "train: 1 row whose own solution fails its tests: train.jsonl:2 (failed)" in notes
    assert "test: all 1 solutions in the data pass their tests" in notes
    assert not any("not run" in note for note in notes)


def test_without_a_sandbox_the_check_ends_at_once(
    corpus_of: Callable[..., Any], tiny_gpt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*_: Any) -> Outcome:
        raise UserError("X01", "", "generated programs can't be isolated on this machine", "")

    monkeypatch.setattr(runner, "run_program", unable)
    task = made(tiny_gpt, run_programs=True)
    with pytest.raises(UserError, match="X01"):
        task.check(corpus_of(task, train=[mbpp(1)]), Data(**SHARES), 1)


def records_of(task: Any, found: Any) -> list[dict[str, Any]]:
    count = len(found["texts"])
    asked = [
        [{"role": "user", "content": f"film {n}"}, {"role": "assistant", "content": "?"}]
        for n in range(count)
    ]
    given = {"prompt": [turns[0]["content"] for turns in asked], "messages": asked}
    references = {"texts": object_array([(RIGHT,)] * count)}
    records = task.records(given, found, (), references)
    return [{"place": f"test.jsonl:{number}", **record} for number, record in enumerate(records)]


def test_records_hold_the_verdicts_and_give_them_back(running: Any) -> None:
    found = answered(running, RIGHT, WRONG, tests=[TESTS] * 2)
    records = records_of(running, found)
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
    how = {"resampling": Resampling(resamples=100, seed=1)}
    better = {**again, "verdicts": object_array(["passed", "passed"])}
    assert running.difference(references, better, again, "pass@1", (), **how).value == pytest.approx(0.5)
    assert running.difference(references, again, without, "perplexity", (), **how).value == 0


def test_a_program_that_passes_is_no_mistake_however_it_is_written(running: Any) -> None:
    found = answered(running, "def double(y): return y + y", WRONG, tests=[TESTS] * 2)
    worst = running.worst_errors(records_of(running, found))
    assert [(one["prediction"], one["verdict"]) for one in worst] == [(WRONG, "failed")]


def test_programs_are_printed_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    predict._print_whole({"prediction": text} for text in ("def f():\n    return 1", "x = 2"))
    assert capsys.readouterr().out == "def f():\n    return 1\n\nx = 2\n"


def test_a_run_with_programs_run_says_so_everywhere(
    running: Any, tiny_gpt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe("code", tmp_path, tiny_gpt, count=60)
    settings = ["task.run_programs=true", "train.epochs=null", "train.max_steps=60"]
    content = llmkit.finetune(str(recipe), settings, out=tmp_path / "run")
    assert content["headline"][0] == "pass@1"
    assert sum(content["verdicts"].values()) == content["scores"]["pass@1"]["n"]
    assert set(content["baselines"]) == {"untuned"}
    assert "pass@1" in content["baselines"]["untuned"]
    assert "What became of the programs" in (tmp_path / "run" / "report.md").read_text()
    again = llmkit.evaluate(str(tmp_path / "run"), run_programs=True)
    assert again["scores"] == content["scores"]
    unasked = llmkit.evaluate(
        str(tmp_path / "run")
    )  # what training was allowed is not for who opens the model
    assert set(content["scores"]) - set(unasked["scores"]) == {"pass@1"}
    assert llmkit.compare(tmp_path / "run", tmp_path / "run")["differences"]["pass@1"]["value"] == 0
    capsys.readouterr()
    asked = rows("code", 1, seed=5)[0]
    assert cli._run(["predict", str(tmp_path / "run"), asked["prompt"]]) == 0
    assert capsys.readouterr().out == asked["completion"] + "\n"
