"""The section on the course of training."""

from __future__ import annotations

from llmkit.report.report import Curves, Evaluation, Report
from llmkit.report.training import curves


def test_of_many_evaluations_the_best_and_the_last_are_shown() -> None:
    evaluations = [Evaluation(step, {"loss": 1.0}) for step in range(1, 1001)]
    section = curves(Report(curves=Curves(evaluations=evaluations, best_step=577)))
    assert section is not None
    (table,) = section.tables
    steps = [row[0].text for row in table.rows]
    assert len(steps) <= 32
    assert {"577", "1,000"} <= set(steps)
    assert "best" in [row[0].note for row in table.rows]
    assert (
        table.caption
        == f"Scores on the validation set ({len(steps)} of 1,000 evaluations); lower is better for loss"
    )
