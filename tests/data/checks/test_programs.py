"""Rows become exercises with tests; the published solutions of MBPP pass theirs, their mutants do not."""

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
from llmkit.sandbox.runner import Program, run, run_many

ROW: dict[str, Any] = {
    "text": "Add one.",
    "code": "def f(x): return x + 1",
    "test_list": ["assert f(1) == 2"],
}
OWN: dict[str, Any] = {
    "prompt": "Add one.",
    "completion": "So:\n```python\ndef f(x): return x + 1\n```",
    "tests": ["assert f(1) == 2", "assert f(2) == 3"],
}


def rows(shared: Path, part: str = "test") -> list[dict[str, Any]]:
    lines = (shared / "code" / "mbpp" / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def solution(row: dict[str, Any], code: str | None = None) -> Program:
    read = parse_exercise(row)
    return Program(read.code if code is None else code, read.tests)


def test_mbpp_shows_its_tests_and_its_program_in_a_fence() -> None:
    found = parse_exercise({**ROW, "code": "def f(x):\r\n  return x + 1\r\n\r\n"})
    assert found.prompt == "Add one.\n\nYour code should pass these tests:\n\nassert f(1) == 2"
    assert found.code == "def f(x):\n  return x + 1"
    assert found.answer == "```python\ndef f(x):\n  return x + 1\n```"


def test_a_prompt_of_ones_own_is_read_and_answered_as_it_stands() -> None:
    tests = "assert f(1) == 2\nassert f(2) == 3"
    assert parse_exercise(OWN) == Exercise("Add one.", OWN["completion"], "def f(x): return x + 1", tests)
    assert parse_exercise({**OWN, "tests": None}).tests == ""


def test_setup_comes_before_the_tests_and_is_not_shown() -> None:
    found = parse_exercise(
        {**ROW, "test_setup_code": "x = 1", "test_list": ["assert f(x) == 2", "assert f(2) == 3"]}
    )
    assert found.tests == "x = 1\nassert f(x) == 2\nassert f(2) == 3"
    assert "x = 1" not in found.prompt
    assert parse_exercise({**ROW, "test_setup_code": None}).tests == "assert f(1) == 2"


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"text": " "}, "L03", 'column "text" is empty'),
        ({"text": 3}, "L02", 'column "text" holds no text'),
        ({"code": None}, "L02", 'column "code" holds no text'),
        ({"code": " \n"}, "S05", 'column "code" is empty'),
        ({"code": "def f(x: return"}, "X02", 'column "code" is no Python (invalid syntax'),
        ({"code": "x = '\0'"}, "X02", 'column "code" is no Python (source code string'),
        ({"test_list": []}, "X02", "no list of tests"),
        ({"test_list": "assert f(1) == 2"}, "X02", "no list of tests"),
        ({"test_list": [1]}, "X02", "no list of tests"),
        ({"test_list": None}, "X02", 'column "test_list" is missing'),
        ({"test_list": ["assert f("]}, "X02", 'column "test_list" is no Python'),
        ({"test_setup_code": 3}, "X02", 'column "test_setup_code" is no text'),
        ({"test_setup_code": "x ="}, "X02", 'column "test_list" is no Python'),
    ],
)
def test_faults_of_mbpp_rows_are_told(change: dict[str, Any], code: str, said: str) -> None:
    found = find_error({**ROW, **change})
    assert found is not None
    assert found[0] == code
    assert said in found[1]
    assert find_error(ROW) is None


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"prompt": ""}, "L03", 'column "prompt" is empty'),
        ({"completion": ""}, "S05", 'column "completion" is empty'),
        ({"completion": "I do not know."}, "X02", 'column "completion" holds no program'),
        ({"completion": "```python\ndef f(x: return\n```"}, "X02", 'column "completion" is no Python'),
        ({"tests": ["assert ("]}, "X02", 'column "tests" is no Python'),
        ({"tests": None}, "X02", 'column "tests" is missing'),
    ],
)
def test_faults_of_prompt_and_completion_are_told(change: dict[str, Any], code: str, said: str) -> None:
    found = find_error({**OWN, **change})
    assert found is not None
    assert found[0] == code
    assert said in found[1]
    assert find_error(OWN) is None


def test_tests_may_be_left_out_where_nothing_is_run() -> None:
    assert find_error({**OWN, "tests": None}, tested=False) is None
    assert find_error({**ROW, "test_list": None}, tested=False) is None
    assert find_error({**OWN, "tests": []}, tested=False) is not None


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Corpus]:
    monkeypatch.chdir(tmp_path)

    def of(found: list[dict[str, Any]]) -> Corpus:
        Path("train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
        data = Data(train="train.jsonl")
        return corpora.read(
            data,
            columns={},
            progress=SILENT,
            resolve_index=lambda name, _: Path(name),
            resolve_hub=lambda *_: {},
        )

    return of


def test_faulty_rows_are_told_with_their_lines(read: Callable[..., Corpus]) -> None:
    corpus = read([ROW, {**ROW, "code": "x ="}, ROW, {**ROW, "text": ""}])
    _, problems, _ = check_programs(corpus, Data(), tested=True)
    assert [(one.code, one.place) for one in problems] == [("X02", "train.jsonl:2"), ("L03", "train.jsonl:4")]


def test_empty_rows_are_dropped_where_asked(read: Callable[..., Corpus]) -> None:
    corpus = read([ROW, {**ROW, "text": "", "test_list": None}, {**ROW, "code": ""}])
    found, problems, notes = check_programs(corpus, Data(empty_text="drop"), tested=True)
    assert problems == []
    assert notes == ["train: 2 rows dropped, no task or no program"]
    part = found.splits["train"]
    assert part.column("code") == [ROW["code"]]
    assert part.column("tests") == ROW["test_list"]
    assert [turn["role"] for turn in part.column("messages")[0]] == ["user", "assistant"]
    assert found.fingerprint != corpus.fingerprint


def test_other_columns_are_told(read: Callable[..., Corpus]) -> None:
    _, problems, _ = check_programs(read([{"text": "a", "label": "b"}]), Data(), tested=False)
    assert [(one.code, one.place) for one in problems] == [("L01", "train.jsonl")]


@pytest.mark.shared
@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_published_rows_have_no_faults(shared: Path, part: str) -> None:
    assert not [row["task_id"] for row in rows(shared, part) if find_error(row)]


@pytest.mark.shared
def test_published_solutions_pass_and_none_passes_without_its_return(shared: Path) -> None:
    try:
        run(Program("", ""))
    except UserError as error:
        pytest.skip(str(error))
    some = rows(shared)[::50]
    wrong = [solution(row, row["code"].replace("return", "return None and")) for row in some]
    outcomes = run_many([*map(solution, some), *wrong], workers=2)
    assert [outcome.passed for outcome in outcomes] == [True] * len(some) + [False] * len(some)


@pytest.mark.shared
@pytest.mark.slow
def test_all_published_solutions_pass(shared: Path) -> None:
    outcomes = run_many([solution(row) for row in rows(shared)], workers=2)
    assert len(outcomes) == 500
    assert not [outcome for outcome in outcomes if not outcome.passed]
