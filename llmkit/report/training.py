"""The chapter on how training went."""

from __future__ import annotations

from collections.abc import Sequence

from llmkit.report.format import better, count, phrase, words
from llmkit.report.tables import Cell, Content, Section, Table, number_cell

__all__ = ["curves"]

MOST_EVALUATIONS = 30  # rows of the table


def curves(content: Content) -> Section | None:
    found = content.get("curves") or {}
    evaluations, best = found.get("evaluations") or [], found.get("best_step")
    if not evaluations and not found.get("steps"):
        return None
    lines = []
    if best is not None:
        lines.append(f"The model is the one of step {count(best)}, the best on the validation rows.")
    tables = [_evaluations(evaluations, best)] if evaluations else []
    return Section("curves", "Training", lines, plots=["loss", "metrics"], tables=tables)


def _evaluations(evaluations: Sequence[Content], best: int | None) -> Table:
    """All of them, or when they are many every k-th, the best and the last."""
    every = -(-len(evaluations) // MOST_EVALUATIONS)
    kept = {best, evaluations[-1]["step"]} | {row["step"] for row in evaluations[::every]}
    names = list(dict.fromkeys(name for row in evaluations for name in row if name != "step"))
    rows = [
        (_step(row["step"], best), *(number_cell(row.get(name)) for name in names))
        for row in evaluations
        if row["step"] in kept
    ]
    some = f" ({len(rows)} of {len(evaluations)} evaluations)" if every > 1 else ""
    lower = ", ".join(phrase(name) for name in names if better(name))
    caption = f"Scores on the validation rows{some}" + (f"; lower is better for {lower}" if lower else "")
    return Table(caption, ("Step", *map(words, names)), rows, folded=len(rows) > 10)


def _step(step: int, best: int | None) -> Cell:
    return Cell(count(step), note="best" if step == best else "", numeric=True)
