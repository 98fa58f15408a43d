"""What suites say of the outputs of all rounds, and that the command knows every suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import run as bench
from bench.suites import sft, train

FOLDER = Path(train.__file__).parent
GOLDS = ["positive", "negative"] * 30


def test_every_suite_can_be_asked_for() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == {*bench.SUITES, *bench.LONG}


def outputs(wrong: int, golds: list[str] = GOLDS) -> dict[str, Any]:
    """So many of the first predictions are not the gold label."""
    other = {"positive": "negative", "negative": "positive"}
    return {"golds": golds, "predictions": [other[gold] for gold in golds[:wrong]] + golds[wrong:]}


def test_accuracies_are_paired_over_the_seeds() -> None:
    rounds = [
        {train.OURS: outputs(wrong), **{peer: outputs(wrong + 3) for peer in train.PADDING}}
        for wrong in (6, 12)
    ]
    own, *others = train.accuracies(rounds)
    assert "llmkit 0.8500 [" in own and "2 seeds" in own
    assert len(others) == 3
    assert all(f"minus {peer}: +0.0500 [" in said for peer, said in zip(train.PADDING, others, strict=True))


def test_other_test_rows_are_no_comparison() -> None:
    turned = GOLDS[::-1]
    rounds = [{train.OURS: outputs(6), **{peer: outputs(6, turned) for peer in train.PADDING}}]
    with pytest.raises(AssertionError, match="not the same test rows"):
        train.accuracies(rounds)


def test_losses_are_means_over_the_rounds() -> None:
    rounds = [{sft.OURS: {"loss": loss}, sft.FP32: {"loss": loss + 1}} for loss in (1.0, 2.0)]
    assert sft._losses(rounds) == [
        "Mean loss of the epoch (nats a token): llmkit 1.5000, TRL, float32 2.5000."
    ]
