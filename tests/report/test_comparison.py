"""The report on two runs: each chapter has both, in the order in which they were named."""

from __future__ import annotations

from typing import Any

import pytest

from llmkit.report import plots
from llmkit.report.comparison import comparison


def _score(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 8, "method": "Wilson 95%"}


def _run(name: str, value: float, **more: Any) -> dict[str, Any]:
    curves = {"evaluations": [{"step": 2, "loss": value}, {"step": 4, "loss": value / 2}], "steps": []}
    return {
        "run": name,
        "scores": {"bits_per_byte": _score(value)},
        "train": {"steps": 4, "parameters": 1000},
        "curves": curves,
        **more,
    }


@pytest.fixture
def compared() -> dict[str, Any]:
    difference = {"value": -0.5, "low": -0.6, "high": -0.4, "p_holm": 0.001, "examples_needed": 12}
    runs = [_run("runs/lstm", 2.5), _run("runs/gpt", 2.0)]
    return {"compared": runs, "differences": {"bits_per_byte": difference}, "n": 8}


def test_a_report_on_one_run_has_no_such_chapter(content: dict[str, Any]) -> None:
    assert comparison(content) == []


def test_every_chapter_has_both(compared: dict[str, Any]) -> None:
    sections = {section.key: section for section in comparison(compared)}
    assert list(sections) == ["scores", "differences", "curves", "speed"]
    scores = [[cell.text for cell in row] for row in sections["scores"].tables[0].rows]
    assert scores == [
        ["runs/lstm", "2.500", "2.400 to 2.600", ""],
        ["runs/gpt", "2.000", "1.900 to 2.100", ""],
    ]
    (row,) = sections["differences"].tables[0].rows
    assert row[0].note == "lower is better"
    assert [cell.text for cell in row[1:5]] == ["-0.500", "-0.600 to -0.400", "0.0010", "12"]
    assert sections["differences"].tables[0].caption == "runs/gpt minus runs/lstm on the same 8 rows"
    assert [[cell.text for cell in row] for row in sections["speed"].tables[0].rows] == [
        ["Steps", "4", "4"],
        ["Parameters", "1,000", "1,000"],
    ]


def test_samples_stand_side_by_side_where_both_have_them(compared: dict[str, Any]) -> None:
    first, second = compared["compared"]
    for run, text in ((first, "x"), (second, "y")):
        run["samples"] = [{"beginning": "a", "text": text, "temperature": 0.8}]
    (table,) = comparison(compared)[-1].tables
    assert [[cell.text for cell in row] for row in table.rows] == [["a", "x", "y"]]
    del second["samples"]
    assert comparison(compared)[-1].key == "speed"


def test_the_losses_of_both_are_in_one_plot(compared: dict[str, Any]) -> None:
    drawn = plots.draw(compared)
    assert list(drawn) == ["losses"]
    assert "runs/lstm" in drawn["losses"]
    assert "runs/gpt" in drawn["losses"]
