"""MBPP rows become programs with tests; the published solutions pass them, their mutants do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmkit.data.mbpp import fault, program
from llmkit.errors import UserError
from llmkit.sandbox import Program, run, run_many

ROW: dict[str, Any] = {
    "text": "Add one.",
    "code": "def f(x): return x + 1",
    "test_list": ["assert f(1) == 2"],
}


def rows(shared: Path) -> list[dict[str, Any]]:
    lines = (shared / "code" / "mbpp" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_setup_comes_between_the_program_and_its_tests() -> None:
    assert program(ROW, "a = 1") == Program("a = 1", "assert f(1) == 2\n")
    row = {**ROW, "test_setup_code": "x = 1", "test_list": ["assert f(x) == 2", "assert f(2) == 3"]}
    assert program(row, "").tests == "x = 1\nassert f(x) == 2\nassert f(2) == 3\n"
    assert program({**ROW, "test_setup_code": None}, "").tests == "assert f(1) == 2\n"


@pytest.mark.parametrize(
    "change, said",
    [
        ({"text": ""}, 'column "text" holds no text'),
        ({"text": 3}, 'column "text" holds no text'),
        ({"code": None}, 'column "code" holds no text'),
        ({"test_list": []}, "no list of tests"),
        ({"test_list": "assert f(1) == 2"}, "no list of tests"),
        ({"test_list": [1]}, "no list of tests"),
        ({"test_list": ["assert f("]}, "the tests are no Python"),
        ({"test_setup_code": "x ="}, "the tests are no Python"),
    ],
)
def test_faults_are_told(change: dict[str, Any], said: str) -> None:
    found = fault({**ROW, **change})
    assert found is not None
    assert said in found[1]
    assert fault(ROW) is None


@pytest.mark.shared
def test_published_rows_have_no_faults(shared: Path) -> None:
    assert not [row["task_id"] for row in rows(shared) if fault(row)]


@pytest.mark.shared
def test_published_solutions_pass_and_none_passes_without_its_return(shared: Path) -> None:
    try:
        run(Program("", ""))
    except UserError as error:
        pytest.skip(str(error))
    some = rows(shared)[::50]
    right = [program(row, row["code"]) for row in some]
    wrong = [program(row, row["code"].replace("return", "return None and")) for row in some]
    outcomes = run_many(right + wrong, workers=2)
    assert [outcome.passed for outcome in outcomes] == [True] * len(some) + [False] * len(some)


@pytest.mark.shared
@pytest.mark.slow
def test_all_published_solutions_pass(shared: Path) -> None:
    outcomes = run_many([program(row, row["code"]) for row in rows(shared)], workers=2)
    assert len(outcomes) == 500
    assert not [outcome for outcome in outcomes if not outcome.passed]
