"""The section on seeds: one row per seed, then mean and spread."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llmkit.metrics.spread import Spread
from llmkit.report import page
from llmkit.report.report import Report
from llmkit.report.seed_spread import seeds


def make_several(report: Report) -> Report:
    """Make a report on two seeds."""
    names = ("accuracy", "f1", "mcc", "loss")
    scores = {name: report.scores[name] for name in names}
    lower = {name: replace(score, value=score.value - 0.125) for name, score in scores.items()}
    spread = {name: Spread(0.088, lower[name].value, scores[name].value) for name in names}
    return replace(report, seeds={"11": scores, "7": lower}, spread=spread, kept_seed=7)


def test_a_report_on_one_seed_has_no_section_on_seeds(report: Report, folder: Path) -> None:
    assert seeds(report) is None
    assert "## Seeds" not in (folder / "report.md").read_text(encoding="utf-8")


def test_each_seed_has_a_row_before_mean_and_spread(report: Report) -> None:
    section = seeds(make_several(report))
    assert section is not None
    (table,) = section.tables
    assert table.head == ("Seed", "Accuracy", "F1", "MCC")  # the headline only
    texts = [[cell.text for cell in row] for row in table.rows]
    assert texts[:2] == [["11", "0.862", "0.859", "0.721"], ["7", "0.737", "0.734", "0.596"]]
    assert texts[2][:2] == ["Mean", "0.862"]
    assert [row[:2] for row in texts[3:]] == [
        ["Standard deviation", "0.088"],
        ["Lowest", "0.737"],
        ["Highest", "0.862"],
    ]
    assert [row[0].note for row in table.rows[:2]] == ["", "model kept"]
    assert table.rows[0][1].note == "0.842 to 0.882"


def test_the_section_on_seeds_comes_first(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmkit.report.plots.draw", lambda _: {})
    page.write(tmp_path, make_several(report))
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert 0 < text.index("## Seeds") < text.index("## Scores")
    assert "| 7 (model kept) |" in text
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert html.index('<section id="seeds"') < html.index('<section id="scores"')
