"""The section on several seeds: the scores of each seed, their mean and their spread."""

from __future__ import annotations

from llmkit.report.format import words
from llmkit.report.report import Report
from llmkit.report.tables import Cell, Section, Table, number_cell, score_cell

__all__ = ["seeds"]

LINES = (
    "Each seed is a separate training run with its own order of examples, initial head and dropout. The test set is "
    "the same for all seeds: their spread is the variation between training runs, and the interval of one seed is the "
    "uncertainty from the choice of test examples.",
    "The interval of the mean (Student's t over the seeds) shows where the mean of many more seeds would lie on this "
    "test set.",
)


def seeds(report: Report) -> Section | None:
    """Make the section; None for a report on one seed."""
    spread = report.spread or {}
    names = [name for name in report.headline_scores if name in spread]
    if not report.seeds or not names:
        return None
    rows = [
        (
            Cell(seed, note="model kept" if seed == str(report.kept_seed) else ""),
            *(score_cell(scores.get(name)) for name in names),
        )
        for seed, scores in report.seeds.items()
    ]
    rows += [
        (Cell("Mean"), *(score_cell(report.scores[name]) for name in names)),
        (Cell("Standard deviation"), *(number_cell(spread[name].sd) for name in names)),
        (Cell("Lowest"), *(number_cell(spread[name].min) for name in names)),
        (Cell("Highest"), *(number_cell(spread[name].max) for name in names)),
    ]
    caption = f"Scores by seed on the {report.split} set ({report.interval_name})"
    return Section("seeds", "Seeds", LINES, tables=[Table(caption, ("Seed", *map(words, names)), rows)])
