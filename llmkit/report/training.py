"""The section on the course of training."""

from __future__ import annotations

from llmkit.report.format import better, count, phrase, words
from llmkit.report.report import Curves, Report
from llmkit.report.tables import Cell, Section, Table, number_cell

__all__ = ["curves"]

MAX_EVALUATIONS = 30  # rows of the table, about
FOLDED = 10  # rows above which the table is shown on demand


def curves(report: Report) -> Section | None:
    """Make the section with losses and validation scores by step."""
    content = report.curves
    if not content.evaluations and not content.steps:
        return None
    lines = []
    if content.best_step is not None:
        lines.append(
            f"The model has the weights of step {count(content.best_step)}, the best on the validation set."
        )
    tables = [_show_evaluations(content)] if content.evaluations else []
    return Section("curves", "Training", lines, plots=["loss", "metrics"], tables=tables)


def _show_evaluations(content: Curves) -> Table:
    """Show all evaluations; of many, every k-th, the best and the last."""
    evaluations, best = content.evaluations, content.best_step
    every = -(-len(evaluations) // MAX_EVALUATIONS)
    shown = {best, evaluations[-1].step} | {evaluation.step for evaluation in evaluations[::every]}
    names = list(dict.fromkeys(name for evaluation in evaluations for name in evaluation.scores))
    rows = [
        (
            Cell(count(evaluation.step), note="best" if evaluation.step == best else "", numeric=True),
            *(number_cell(evaluation.scores.get(name)) for name in names),
        )
        for evaluation in evaluations
        if evaluation.step in shown
    ]
    some = f" ({len(rows)} of {count(len(evaluations))} evaluations)" if every > 1 else ""
    lower = ", ".join(phrase(name) for name in names if better(name))
    caption = f"Scores on the validation set{some}" + (f"; lower is better for {lower}" if lower else "")
    return Table(caption, ("Step", *map(words, names)), rows, folded=len(rows) > FOLDED)
