"""The facts that suites report about outputs, and the list of suites."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import run as bench
from bench.suites import sft, train

FOLDER = Path(train.__file__).parent
LABELS = ["positive", "negative"] * 30


def test_command_knows_every_suite() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == {*bench.SUITES, *bench.LONG}


def make_outputs(wrong: int, labels: list[str] = LABELS) -> dict[str, Any]:
    """Return outputs of which the first `wrong` predictions are wrong."""
    other = {"positive": "negative", "negative": "positive"}
    return {"labels": labels, "predictions": [other[label] for label in labels[:wrong]] + labels[wrong:]}


def test_accuracies_are_compared_in_pairs_over_the_seeds() -> None:
    rounds = [
        {train.OURS: make_outputs(wrong), **{peer: make_outputs(wrong + 3) for peer in train.PADDING}}
        for wrong in (6, 12)
    ]
    accuracy, *differences = train.compare_accuracies(rounds)
    assert "llmkit 0.8500 [" in accuracy and "2 seeds" in accuracy
    assert len(differences) == 3
    assert all(
        f"minus {peer}: +0.0500 [" in fact for peer, fact in zip(train.PADDING, differences, strict=True)
    )


def test_different_test_rows_are_an_error() -> None:
    reversed_labels = LABELS[::-1]
    rounds = [
        {train.OURS: make_outputs(6), **{peer: make_outputs(6, reversed_labels) for peer in train.PADDING}}
    ]
    with pytest.raises(AssertionError, match="the test rows differ"):
        train.compare_accuracies(rounds)


def test_losses_are_averaged_over_the_rounds() -> None:
    rounds = [{sft.OURS: {"loss": loss}, sft.FP32: {"loss": loss + 1}} for loss in (1.0, 2.0)]
    assert sft._compare_losses(rounds) == [
        "Mean loss of the epoch (nats per token): llmkit 1.5000, TRL, float32 2.5000."
    ]
