"""Metrics of statistics by name, and the difference of two systems."""

from __future__ import annotations

import numpy as np
import pytest

from llmkit.base.errors import UserError
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Metric, Statistics, ratio
from llmkit.tasks._shared.statistics import get_metric, subtract

SHARE = Metric("share", lambda sums: ratio(sums[..., 0], sums[..., 1]))


def measured(hits: list[int]) -> Statistics:
    return Statistics(np.stack([hits, np.ones(len(hits))], axis=1).astype(np.float64), (SHARE,))


def test_a_metric_is_found_by_its_name() -> None:
    assert get_metric(measured([1]), "share") is SHARE
    with pytest.raises(UserError, match="E01"):
        get_metric(measured([1]), "shares")


def test_the_difference_is_paired_by_example() -> None:
    first, second = measured([1, 1, 1, 0] * 10), measured([1, 0, 1, 0] * 10)
    difference = subtract(first, second, "share", Resampling(resamples=200, seed=1))
    assert difference.value == pytest.approx(0.25)
    assert difference.n == 40
    assert difference.low is not None and difference.low > 0
