"""How training went."""

from __future__ import annotations

from typing import Any

from llmkit.report.training import curves


def test_many_evaluations_keep_the_best_and_the_last(content: dict[str, Any]) -> None:
    evaluations = [{"step": step, "loss": 1.0} for step in range(1, 1001)]
    found = {"evaluations": evaluations, "best_step": 577}
    table = curves(content | {"curves": found}).tables[0]
    steps = [row[0].text for row in table.rows]
    assert len(steps) <= 32
    assert {"577", "1,000"} <= set(steps)
    assert "best" in [row[0].note for row in table.rows]
