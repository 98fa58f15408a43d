"""The sections of a report on two runs."""

from __future__ import annotations

from llmkit.report.format import better, count, p_value, titled, words
from llmkit.report.provenance import COSTS
from llmkit.report.report import ComparisonReport
from llmkit.report.tables import Axis, Cell, Section, Table, count_cell, score_cells

__all__ = ["compare_sections"]


def compare_sections(report: ComparisonReport) -> list[Section]:
    """Make the sections in reading order."""
    metrics = list(report.comparison.differences)
    sections = [
        Section("scores", "Scores", tables=[_show_scores(name, report) for name in metrics]),
        Section("differences", "Differences", tables=[_show_differences(report)]),
        Section("curves", "Training", plots=["losses"]),
        Section("speed", "Speed and memory", tables=_show_costs(report)),
        Section("samples", "Samples", tables=_show_samples(report)),
    ]
    return [section for section in sections if section.plots or section.tables]


def _show_scores(metric: str, report: ComparisonReport) -> Table:
    """Show both runs on one axis, where overlapping intervals can be seen."""
    axis = Axis.over([run.scores[metric] for run in report.runs])
    rows = [
        (
            Cell(run.run, path=True),
            *score_cells(run.scores[metric]),
            Cell("", bar=axis.bar(run.scores[metric], own=run is report.runs[-1])),
        )
        for run in report.runs
    ]
    return Table(titled(metric), ("Run", "Value", report.interval_name), rows, axis)


def _show_differences(report: ComparisonReport) -> Table:
    comparison = report.comparison
    axis = Axis.over([item.difference for item in comparison.differences.values()], zero=True)
    rows = [
        (
            Cell(words(name), note=better(name)),
            *score_cells(item.difference),
            Cell(p_value(item.p_holm), numeric=True),
            count_cell(item.difference.examples_needed),
            Cell("", bar=axis.bar(item.difference, zero=True, own=True)),
        )
        for name, item in comparison.differences.items()
    ]
    caption = f"{comparison.second} minus {comparison.first} on the same {count(comparison.n)} examples"
    head = ("Score", "Difference", report.interval_name, "p (Holm)", "Examples needed")
    return Table(caption, head, rows, axis)


def _show_costs(report: ComparisonReport) -> list[Table]:
    figures = [run.train for run in report.runs if run.train]
    if len(figures) < len(report.runs):
        return []
    rows = [
        (Cell(name), *(Cell(form(getattr(each, key)), numeric=True) for each in figures))
        for key, (name, form) in COSTS.items()
    ]
    return [Table("Time, speed and memory of training", ("Measure", *(run.run for run in report.runs)), rows)]


def _show_samples(report: ComparisonReport) -> list[Table]:
    """Show what language models generated from the same beginnings."""
    if not all(run.samples for run in report.runs):
        return []
    rows = [
        (Cell(samples[0].beginning), *(Cell(sample.text, wide=True) for sample in samples))
        for samples in zip(*(run.samples for run in report.runs), strict=False)
    ]
    caption = "Beginnings of examples, and how each run continues them"
    return [Table(caption, ("Beginning", *(run.run for run in report.runs)), rows)]
