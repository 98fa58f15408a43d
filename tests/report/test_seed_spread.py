"""The chapter on seeds: one row each, then mean and spread; nothing where there is one seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmkit.report import page
from llmkit.report.seed_spread import seeds


def of_seeds(content: dict[str, Any]) -> dict[str, Any]:
    """The full content as if it came from two seeds."""
    names = ("accuracy", "f1", "mcc", "loss")
    scores = {name: content["scores"][name] for name in names}
    lower = {name: {**score, "value": score["value"] - 0.125} for name, score in scores.items()}
    spread = {
        name: {"sd": 0.088, "min": lower[name]["value"], "max": scores[name]["value"]} for name in names
    }
    return {**content, "seeds": {"11": scores, "7": lower}, "spread": spread, "kept_seed": 7}


def test_a_report_on_one_seed_has_no_such_chapter(content: dict[str, Any], report: Path) -> None:
    assert seeds(content) is None
    assert "## Seeds" not in (report / "report.md").read_text(encoding="utf-8")


def test_a_row_for_each_seed_then_mean_and_spread(content: dict[str, Any]) -> None:
    section = seeds(of_seeds(content))
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


def test_the_chapter_comes_first_on_the_page(
    content: dict[str, Any], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("llmkit.report.plots.draw", lambda _: {})
    page.write(tmp_path, of_seeds(content))
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert 0 < text.index("## Seeds") < text.index("## Scores")
    assert "| 7 (model kept) |" in text
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert html.index('<section id="seeds"') < html.index('<section id="scores"')
