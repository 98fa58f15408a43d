"""Tests of programming tasks: published solutions of MBPP pass their tests, mutated solutions do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmkit.base.errors import UserError
from llmkit.base.progress import SILENT
from llmkit.data import corpus as corpora
from llmkit.data.checks.programs import Exercise, check_programs, find_error, parse_exercise
from llmkit.data.corpus import Corpus
from llmkit.recipe.schema import Data
from llmkit.sandbox.runner import Program, run_program, run_programs

ROW: dict[str, Any] = {
    "text": "Add one.",
    "code": "def f(x): return x + 1",
    "test_list": ["assert f(1) == 2"],
}
COMPLETION: dict[str, Any] = {
    "prompt": "Add one.",
    "completion": "So:\n```python\ndef f(x): return x + 1\n```",
    "tests": ["assert f(1) == 2", "assert f(2) == 3"],
}


def rows(shared: Path, split: str = "test") -> list[dict[str, Any]]:
    lines = (shared / "code" / "mbpp" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def solution(row: dict[str, Any], code: str | None = None) -> Program:
    read = parse_exercise(row)
    return Program(read.code if code is None else code, read.tests)


def test_an_mbpp_prompt_shows_the_tests_and_the_answer_is_fenced() -> None:
    exercise = parse_exercise({**ROW, "code": "def f(x):\r\n  return x + 1\r\n\r\n"})
    assert exercise.prompt == "Add one.\n\nYour code should pass these tests:\n\nassert f(1) == 2"
    assert exercise.code == "def f(x):\n  return x + 1"
    assert exercise.answer == "```python\ndef f(x):\n  return x + 1\n```"


def test_prompt_and_completion_are_kept_as_they_are() -> None:
    tests = "assert f(1) == 2\nassert f(2) == 3"
    assert parse_exercise(COMPLETION) == Exercise(
        "Add one.", COMPLETION["completion"], "def f(x): return x + 1", tests
    )
    assert parse_exercise({**COMPLETION, "tests": None}).tests == ""


def test_setup_code_comes_before_the_tests_and_is_not_in_the_prompt() -> None:
    exercise = parse_exercise(
        {**ROW, "test_setup_code": "x = 1", "test_list": ["assert f(x) == 2", "assert f(2) == 3"]}
    )
    assert exercise.tests == "x = 1\nassert f(x) == 2\nassert f(2) == 3"
    assert "x = 1" not in exercise.prompt
    assert parse_exercise({**ROW, "test_setup_code": None}).tests == "assert f(1) == 2"


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"text": " "}, "L03", 'column "text" is empty'),
        ({"text": 3}, "L02", 'column "text" holds no text'),
        ({"code": None}, "L02", 'column "code" holds no text'),
        ({"code": " \n"}, "S05", 'column "code" is empty'),
        ({"code": "def f(x: return"}, "X02", 'column "code" is not valid Python (invalid syntax'),
        ({"code": "x = '\0'"}, "X02", 'column "code" is not valid Python (source code string'),
        ({"test_list": []}, "X02", "does not hold a list of tests"),
        ({"test_list": "assert f(1) == 2"}, "X02", "does not hold a list of tests"),
        ({"test_list": [1]}, "X02", "does not hold a list of tests"),
        ({"test_list": None}, "X02", 'column "test_list" is missing'),
        ({"test_list": ["assert f("]}, "X02", 'column "test_list" is not valid Python'),
        ({"test_setup_code": 3}, "X02", 'column "test_setup_code" is not a text'),
        ({"test_setup_code": "x ="}, "X02", 'column "test_list" is not valid Python'),
    ],
)
def test_invalid_mbpp_rows_have_an_error(change: dict[str, Any], code: str, message: str) -> None:
    error = find_error({**ROW, **change})
    assert error is not None
    assert error.code == code
    assert message in error.message
    assert find_error(ROW) is None


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"prompt": ""}, "L03", 'column "prompt" is empty'),
        ({"completion": ""}, "S05", 'column "completion" is empty'),
        ({"completion": "I do not know."}, "X02", 'column "completion" holds no program'),
        ({"completion": "```python\ndef f(x: return\n```"}, "X02", 'column "completion" is not valid Python'),
        ({"tests": ["assert ("]}, "X02", 'column "tests" is not valid Python'),
        ({"tests": None}, "X02", 'column "tests" is missing'),
    ],
)
def test_invalid_prompts_and_completions_have_an_error(
    change: dict[str, Any], code: str, message: str
) -> None:
    error = find_error({**COMPLETION, **change})
    assert error is not None
    assert error.code == code
    assert message in error.message
    assert find_error(COMPLETION) is None


def test_tests_are_optional_if_programs_are_not_run() -> None:
    assert find_error({**COMPLETION, "tests": None}, tested=False) is None
    assert find_error({**ROW, "test_list": None}, tested=False) is None
    assert find_error({**COMPLETION, "tests": []}, tested=False) is not None


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Corpus]:
    monkeypatch.chdir(tmp_path)

    def write_and_read(content: list[dict[str, Any]]) -> Corpus:
        Path("train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
        data = Data(train="train.jsonl")
        return corpora.read(
            data,
            columns={},
            progress=SILENT,
            resolve_index=lambda name, _: Path(name),
            resolve_hub=lambda *_: {},
        )

    return write_and_read


def test_errors_have_the_line_of_their_row(read: Callable[..., Corpus]) -> None:
    corpus = read([ROW, {**ROW, "code": "x ="}, ROW, {**ROW, "text": ""}])
    _, errors, _ = check_programs(corpus, Data(), tested=True)
    assert [(error.code, error.place) for error in errors] == [
        ("X02", "train.jsonl:2"),
        ("L03", "train.jsonl:4"),
    ]


def test_empty_rows_can_be_dropped(read: Callable[..., Corpus]) -> None:
    corpus = read([ROW, {**ROW, "text": "", "test_list": None}, {**ROW, "code": ""}])
    result, errors, notes = check_programs(corpus, Data(empty_text="drop"), tested=True)
    assert errors == []
    assert notes == ["train: 2 rows dropped (no task or no program)"]
    split = result.splits["train"]
    assert split.column("code") == [ROW["code"]]
    assert split.column("tests") == ROW["test_list"]
    assert [turn["role"] for turn in split.column("messages")[0]] == ["user", "assistant"]
    assert result.fingerprint != corpus.fingerprint


def test_missing_columns_are_l01(read: Callable[..., Corpus]) -> None:
    _, errors, _ = check_programs(read([{"text": "a", "label": "b"}]), Data(), tested=False)
    assert [(error.code, error.place) for error in errors] == [("L01", "train.jsonl")]


@pytest.mark.shared
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_published_rows_have_no_errors(shared: Path, split: str) -> None:
    assert not [row["task_id"] for row in rows(shared, split) if find_error(row)]


@pytest.mark.shared
def test_published_solutions_pass_and_mutated_ones_fail(shared: Path) -> None:
    try:
        run_program(Program("", ""))
    except UserError as error:
        pytest.skip(str(error))
    sample = rows(shared)[::50]
    wrong = [solution(row, row["code"].replace("return", "return None and")) for row in sample]
    outcomes = run_programs([*map(solution, sample), *wrong], workers=2)
    assert [outcome.passed for outcome in outcomes] == [True] * len(sample) + [False] * len(sample)


@pytest.mark.shared
@pytest.mark.slow
def test_all_published_solutions_pass(shared: Path) -> None:
    outcomes = run_programs([solution(row) for row in rows(shared)], workers=2)
    assert len(outcomes) == 500
    assert not [outcome for outcome in outcomes if not outcome.passed]
