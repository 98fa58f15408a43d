"""Sections on how good the model is: its scores, the outcomes of its programs, and the baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from llmkit.report.format import better, p_value, percent, titled, words
from llmkit.report.report import BaselineComparison, Report, Scores
from llmkit.report.tables import Axis, Cell, Section, Table, count_cell, score_cell, score_cells

__all__ = ["baselines", "scores", "verdicts"]

OWN = "This model"


def scores(report: Report) -> Section | None:
    """Make the section with all scores of the model."""
    rows = [
        (
            _name_cell(name),
            *score_cells(score),
            count_cell(score.n),
            Cell(score.method, wide=True),
        )
        for name, score in report.scores.items()
    ]
    head = ("Score", "Value", report.interval_name, "n", "Method")
    table = Table(f"All scores on the {report.split} set", head, rows)
    return Section("scores", "Scores", tables=[table]) if rows else None


def verdicts(report: Report) -> Section | None:
    """Make the section on the outcomes of generated programs."""
    outcomes = report.details.verdicts or {}
    total = sum(outcomes.values())
    rows = [
        (Cell(name), count_cell(number), Cell(percent(number / total), numeric=True))
        for name, number in outcomes.items()
    ]
    table = Table("Outcomes of the generated programs", ("Outcome", "Programs", "Share"), rows)
    return Section("verdicts", "Programs", tables=[table]) if rows else None


def baselines(report: Report) -> Section | None:
    """Make the section that compares the model with the baselines, best system first."""
    if not report.baselines and not report.comparisons:
        return None
    systems = {OWN: report.scores} | {words(name): scores for name, scores in report.baselines.items()}
    shared = [name for name in report.scores if any(name in scores for scores in report.baselines.values())]
    first = [name for name in report.headline_scores if name in shared]
    if first:
        systems = _sort_systems(systems, first[0])
    order = list(systems)
    comparisons = sorted(
        report.comparisons,
        key=lambda item: order.index(name) if (name := words(item.baseline)) in order else len(order),
    )
    tables = [_compare_systems(name, systems, report) for name in first]
    others = [
        (_name_cell(name), *(score_cell(scores.get(name)) for scores in systems.values()))
        for name in shared
        if name not in first
    ]
    if others:
        tables.append(Table("Other scores", ("Score", *systems), others, folded=True))
    if comparisons:
        tables.append(_show_differences(comparisons, report))
    return Section("baselines", "Baselines", [item.sentence for item in comparisons], tables=tables)


def _name_cell(metric: str) -> Cell:
    return Cell(words(metric), note=better(metric))


def _sort_systems(systems: Mapping[str, Scores], metric: str) -> dict[str, Scores]:
    """Sort systems by a score, best first, systems without the score last."""

    def rank(item: tuple[str, Scores]) -> float:
        value = item[1][metric].value if metric in item[1] else math.nan
        return math.inf if math.isnan(value) else value if better(metric) else -value

    return dict(sorted(systems.items(), key=rank))


def _compare_systems(metric: str, systems: Mapping[str, Scores], report: Report) -> Table:
    """Show model and baselines on one axis, where overlapping intervals can be seen."""
    values = {name: scores[metric] for name, scores in systems.items() if metric in scores}
    axis = Axis.over(values.values())
    rows = [
        (Cell(name), *score_cells(score), Cell("", bar=axis.bar(score, own=name == OWN)))
        for name, score in values.items()
    ]
    return Table(titled(metric), ("System", "Value", report.interval_name), rows, axis)


def _show_differences(comparisons: Sequence[BaselineComparison], report: Report) -> Table:
    axis = Axis.over([item.difference for item in comparisons], zero=True)
    rows = [
        (
            Cell(words(item.baseline)),
            _name_cell(item.metric),
            *score_cells(item.difference),
            Cell(p_value(item.difference.p_value), numeric=True),
            Cell("", bar=axis.bar(item.difference, zero=True, own=True)),
        )
        for item in comparisons
    ]
    head = ("Baseline", "Score", "Difference", report.interval_name, "p")
    return Table("Model minus baseline on the same examples", head, rows, axis)
