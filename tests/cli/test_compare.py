"""`llmkit compare`: the table of differences, the JSON object and the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_json_differences_are_second_minus_first(
    command: Callable[..., Any], finished: Path, other: Path
) -> None:
    outcome = command("compare", finished, other, "--json")
    assert outcome.code == 0
    result = outcome.json
    assert (result["first"], result["second"], result["n"]) == (str(finished), str(other), 16)
    assert set(result["differences"]) == {"accuracy", "f1", "mcc"}
    accuracy = result["differences"]["accuracy"]
    assert -1 <= accuracy["low"] <= accuracy["value"] <= accuracy["high"] <= 1
    assert accuracy["value"] < 0  # the other run learned almost nothing
    assert accuracy["p_holm"] >= accuracy["p_value"]


def test_table_has_one_row_per_metric(command: Callable[..., Any], finished: Path, other: Path) -> None:
    lines = command("compare", finished, other).out.splitlines()
    assert lines[0] == f"{other} minus {finished}, 16 common examples"
    assert [line.split()[0] for line in lines[2:5]] == ["accuracy", "f1", "mcc"]
    assert lines[5].startswith("McNemar's test on accuracy: p = 0.")


def test_report_shows_both_runs(
    command: Callable[..., Any], finished: Path, other: Path, tmp_path: Path
) -> None:
    out = tmp_path / "both"
    outcome = command("compare", finished, other, "--out", out)
    assert outcome.out.splitlines()[-1] == f"report   {out / 'report.html'}"
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") > 3
    for run in (finished, other):
        assert page.count(str(run)) > 3
    assert {path.name for path in (out / "plots").iterdir()} == {"losses.svg"}
    again = command("compare", finished, other, "--out", out)
    assert again.code == 2
    assert again.err.startswith(f"error[R04] {out}: already exists")


def test_repeated_verdicts_are_printed_once(command: Callable[..., Any], finished: Path) -> None:
    lines = command("compare", finished, finished).out.splitlines()
    assert sum("does not show that" in line for line in lines) == 1


def test_unfinished_run_is_an_error(command: Callable[..., Any], finished: Path, unfinished: Path) -> None:
    outcome = command("compare", finished, unfinished)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error[R05] {unfinished}: ")


def test_missing_run_suggests_a_similar_path(command: Callable[..., Any], finished: Path) -> None:
    outcome = command("compare", finished.with_name("tinny"), finished)
    assert outcome.code == 2
    assert outcome.err.startswith(f"error[R01] {finished.with_name('tinny')}: ")
    assert f'did you mean "{finished}"?' in outcome.err


def test_mcnemar_line_is_omitted_for_tasks_without_correct_predictions(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for language models, whose metric is perplexity."""
    none = {"mcnemar_p": None, "examples_needed": None, "only_in_first": 0, "only_in_second": 0}
    result = {"first": "a", "second": "b", "n": 3, "differences": {}, "verdict": ["b is better"], **none}
    monkeypatch.setattr("llmkit.commands.compare.compare", lambda *_, **__: result)
    outcome = command("compare", "a", "b")
    assert outcome.code == 0
    assert outcome.out.splitlines()[-1] == "b is better"
    assert "McNemar" not in outcome.out
