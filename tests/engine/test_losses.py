"""The summed losses against plain loops and torch's own mean."""

from __future__ import annotations

import math

import pytest
import torch

from llmkit.engine import losses


def test_sum_and_count_of_a_plain_loop() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])
    labels = torch.tensor([0, 1])
    summed, count = losses.classification(logits, labels)
    expected = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        expected += math.log(sum(math.exp(value) for value in row)) - row[label]
    assert summed.item() == pytest.approx(expected, rel=1e-6)
    assert count.item() == 2


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weighted_mean_is_torchs(smoothing: float) -> None:
    torch.manual_seed(0)
    logits, labels, weights = torch.randn(9, 3), torch.randint(0, 3, (9,)), torch.tensor([0.5, 1.0, 3.0])
    summed, count = losses.classification(logits, labels, weights_C=weights, label_smoothing=smoothing)
    theirs = torch.nn.functional.cross_entropy(logits, labels, weight=weights, label_smoothing=smoothing)
    assert (summed / count).item() == pytest.approx(theirs.item(), rel=1e-6)
