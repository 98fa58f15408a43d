"""Spread over seeds: Student's t against scipy, coverage of the interval, and method strings."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from llmkit.metrics.spread import summarize_seeds, t_quantile

METHOD = "mean of 3 seeds, t interval 95% over seeds; test rows are the same for all"


@given(st.floats(0.5, 0.9995), st.integers(1, 120))
def test_quantiles_equal_scipy(probability, freedom):
    assert t_quantile(probability, freedom) == pytest.approx(
        stats.t.ppf(probability, freedom), rel=1e-8, abs=1e-9
    )


def test_interval_equals_a_t_test():
    values = [0.871, 0.864, 0.880]
    score, spread = summarize_seeds(values, n=1200)
    known = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (score.value, score.low, score.high) == (
        pytest.approx(np.mean(values)),
        pytest.approx(known.low),
        pytest.approx(known.high),
    )
    assert (score.n, score.method) == (1200, METHOD)
    assert spread.to_json() == {"sd": pytest.approx(np.std(values, ddof=1)), "min": 0.864, "max": 0.880}
    wider, _ = summarize_seeds(values, n=1200, confidence=0.99)
    assert wider.low < score.low < score.high < wider.high
    assert "99%" in wider.method


def test_interval_is_clipped_to_the_limits_of_the_score():
    score, _ = summarize_seeds([0.9, 1.0], n=10, limits=(0.0, 1.0))
    assert (score.low, score.value, score.high) == (pytest.approx(0.3147, abs=1e-4), 0.95, 1.0)
    free, _ = summarize_seeds([0.9, 1.0], n=10)
    assert free.high == pytest.approx(0.95 + 0.05 * 12.7062, abs=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.1, 0.7, 1.0])
def test_method_says_that_every_seed_scores_the_same(value):
    score, spread = summarize_seeds([value] * 3, n=10)
    assert (score.value, score.low, score.high, spread.sd) == (value, value, value, 0.0)
    assert score.method == METHOD + "; every seed scores the same"


@pytest.mark.parametrize("count", [2, 3, 5])
def test_interval_covers_the_mean_over_all_seeds(count):
    rng = np.random.default_rng(0)
    result = [summarize_seeds(row.tolist(), n=1)[0] for row in rng.normal(0.8, 0.01, (4000, count))]
    assert np.mean([score.low <= 0.8 <= score.high for score in result]) == pytest.approx(0.95, abs=0.012)
    assert all(math.isfinite(score.low) for score in result)
