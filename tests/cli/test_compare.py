"""`llmkit compare`: the differences, and a verdict that is said once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_json_is_second_minus_first(command: Callable[..., Any], finished: Path, other: Path) -> None:
    done = command("compare", finished, other, "--json")
    assert done.code == 0
    found = done.json
    assert (found["first"], found["second"], found["n"]) == (str(finished), str(other), 16)
    assert set(found["differences"]) == {"accuracy", "f1", "mcc"}
    accuracy = found["differences"]["accuracy"]
    assert -1 <= accuracy["low"] <= accuracy["value"] <= accuracy["high"] <= 1
    assert accuracy["value"] < 0  # the other one learned next to nothing
    assert accuracy["p_holm"] >= accuracy["p_value"]


def test_the_table_has_a_line_a_score(command: Callable[..., Any], finished: Path, other: Path) -> None:
    lines = command("compare", finished, other).out.splitlines()
    assert lines[0] == f"{other} minus {finished}, 16 common examples"
    assert [line.split()[0] for line in lines[2:5]] == ["accuracy", "f1", "mcc"]
    assert lines[5].startswith("McNemar's test on accuracy: p = 0.")


def test_a_report_shows_both(
    command: Callable[..., Any], finished: Path, other: Path, tmp_path: Path
) -> None:
    out = tmp_path / "both"
    done = command("compare", finished, other, "--out", out)
    assert done.out.splitlines()[-1] == f"report   {out / 'report.html'}"
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") > 3
    for run in (finished, other):
        assert page.count(str(run)) > 3
    assert {path.name for path in (out / "plots").iterdir()} == {"losses.svg"}
    again = command("compare", finished, other, "--out", out)
    assert again.code == 2
    assert again.err.startswith(f"error[R04] {out}: already exists")


def test_a_verdict_that_several_scores_share_is_said_once(
    command: Callable[..., Any], finished: Path
) -> None:
    lines = command("compare", finished, finished).out.splitlines()
    assert sum("does not show that" in line for line in lines) == 1


def test_an_unfinished_run_can_not_be_compared(
    command: Callable[..., Any], finished: Path, unfinished: Path
) -> None:
    done = command("compare", finished, unfinished)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error[R05] {unfinished}: ")


def test_no_run_is_told_by_its_path(command: Callable[..., Any], finished: Path) -> None:
    done = command("compare", finished.with_name("tinny"), finished)
    assert done.code == 2
    assert done.err.startswith(f"error[R01] {finished.with_name('tinny')}: ")
    assert f'did you mean "{finished}"?' in done.err


def test_where_no_answer_is_right_or_wrong_there_is_no_such_test(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Perplexity and the like."""
    none = {"mcnemar_p": None, "examples_needed": None, "only_in_first": 0, "only_in_second": 0}
    result = {"first": "a", "second": "b", "n": 3, "differences": {}, "verdict": ["b is better"], **none}
    monkeypatch.setattr("llmkit.commands.compare.compare", lambda *_, **__: result)
    done = command("compare", "a", "b")
    assert done.code == 0
    assert done.out.splitlines()[-1] == "b is better"
    assert "McNemar" not in done.out
