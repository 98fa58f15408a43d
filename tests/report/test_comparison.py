"""The report on two runs: each section shows both, in the order in which they were named."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from llmkit.metrics.paired import Difference
from llmkit.metrics.score import Score
from llmkit.report import page, plots
from llmkit.report.comparison import compare_sections
from llmkit.report.report import (
    ComparedRun,
    ComparisonReport,
    Curves,
    Evaluation,
    MetricDifference,
    Report,
    RunComparison,
    Sample,
)

DIFFERENCE = Difference(
    "bits_per_byte", -0.5, -0.6, -0.4, 8, 0.95, 0.001, "", higher_is_better=False, examples_needed=12
)


@pytest.fixture
def compared(report: Report) -> ComparisonReport:
    def make_run(name: str, value: float) -> ComparedRun:
        score = Score(value, value - 0.1, value + 0.1, 8, "Wilson 95%")
        evaluations = [Evaluation(2, {"loss": value}), Evaluation(4, {"loss": value / 2})]
        return ComparedRun(name, {"bits_per_byte": score}, Curves((), evaluations), report.train, ())

    comparison = RunComparison(
        first="runs/lstm",
        second="runs/gpt",
        n=8,
        only_in_first=1,
        only_in_second=0,
        differences={"bits_per_byte": MetricDifference(DIFFERENCE, 0.001)},
        mcnemar_p=None,
        examples_needed=None,
        verdict=["runs/gpt is better.", "runs/gpt is better."],
    )
    runs = [make_run("runs/lstm", 2.5), make_run("runs/gpt", 2.0)]
    return ComparisonReport("runs/gpt against runs/lstm", "clm", comparison, runs)


def test_every_section_shows_both_runs(compared: ComparisonReport) -> None:
    sections = {section.key: section for section in compare_sections(compared)}
    assert list(sections) == ["scores", "differences", "curves", "speed"]
    scores = [[cell.text for cell in row] for row in sections["scores"].tables[0].rows]
    assert scores == [
        ["runs/lstm", "2.500", "2.400 to 2.600", ""],
        ["runs/gpt", "2.000", "1.900 to 2.100", ""],
    ]
    (row,) = sections["differences"].tables[0].rows
    assert row[0].note == "lower is better"
    assert [cell.text for cell in row[1:5]] == ["-0.500", "-0.600 to -0.400", "0.0010", "12"]
    assert sections["differences"].tables[0].caption == "runs/gpt minus runs/lstm on the same 8 examples"
    costs = [[cell.text for cell in row] for row in sections["speed"].tables[0].rows]
    assert costs[0] == ["Steps", "504", "504"]


def test_samples_are_shown_side_by_side_if_both_runs_have_them(compared: ComparisonReport) -> None:
    first, second = compared.runs
    runs = [replace(first, samples=[Sample("a", "x", 0.8)]), replace(second, samples=[Sample("a", "y", 0.8)])]
    (table,) = compare_sections(replace(compared, runs=runs))[-1].tables
    assert [[cell.text for cell in row] for row in table.rows] == [["a", "x", "y"]]
    assert compare_sections(replace(compared, runs=[runs[0], second]))[-1].key == "speed"


def test_the_losses_of_both_runs_are_in_one_plot(compared: ComparisonReport) -> None:
    drawn = plots.draw(compared)
    assert list(drawn) == ["losses"]
    assert "runs/lstm" in drawn["losses"]
    assert "runs/gpt" in drawn["losses"]


def test_long_names_of_runs_keep_their_end_in_the_plot(compared: ComparisonReport) -> None:
    folder = "a/long/path/to/the/folder/of/all/runs"
    runs = [
        replace(run, run=f"{folder}/{name}") for run, name in zip(compared.runs, ("one", "two"), strict=True)
    ]
    svg = plots.draw(replace(compared, runs=runs))["losses"]
    assert "…" in svg
    assert "runs/one<" in svg
    assert "runs/two<" in svg


def test_the_json_holds_the_comparison_beside_both_runs(compared: ComparisonReport, tmp_path: Path) -> None:
    page.write(tmp_path, compared)
    content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert list(content) == [
        "first", "second", "n", "only_in_first", "only_in_second", "differences", "mcnemar_p", "examples_needed",
        "verdict", "name", "task", "compared",
    ]  # fmt: skip
    assert content["differences"] == {"bits_per_byte": {**asdict(DIFFERENCE), "p_holm": 0.001}}
    assert content["verdict"] == ["runs/gpt is better."]  # each sentence once
    assert [list(run) for run in content["compared"]] == [["run", "scores", "curves", "train", "samples"]] * 2
    assert "runs/gpt against runs/lstm" in (tmp_path / "report.html").read_text(encoding="utf-8")
