"""Independent samples: a published example, signs, missing intervals, and coverage by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.metrics import intervals
from llmkit.metrics.independent import Difference, difference
from llmkit.metrics.intervals import wilson_score
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Score

shares = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_intervals_equal_newcombe_1998_method_10():
    """Table II of the paper, 95 %: (a) 56/70 - 48/80, (d) 9/10 - 3/10, (h) 10/10 - 0/10."""
    for first, second, low, high in [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ]:
        result = difference(wilson_score(*first), wilson_score(*second))
        assert result.value == pytest.approx(first[0] / first[1] - second[0] / second[1])
        assert (result.low, result.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
        assert (result.first_n, result.second_n) == (first[1], second[1])
        assert result.method == "MOVER of independent samples, from Wilson 95%"


@given(shares, shares)
def test_swapping_the_samples_negates_the_interval(first, second):
    there = difference(wilson_score(*first), wilson_score(*second))
    back = difference(wilson_score(*second), wilson_score(*first))
    assert (there.value, there.low, there.high) == (-back.value, -back.high, -back.low)
    assert there.low <= there.value <= there.high
    assert there.low >= -1
    assert there.high <= 1


def test_symmetric_intervals_add_in_squares():
    """As the errors of two normal means do, regardless of the method strings."""
    result = difference(Score(2.0, 1.7, 2.3, 50, "one"), Score(1.5, 1.1, 1.9, 80, "other"))
    assert (result.low, result.high) == (pytest.approx(0.0), pytest.approx(1.0))
    assert result.method == "MOVER of independent samples, from one and other"


def test_difference_with_a_score_without_interval_has_none():
    whole, bare = wilson_score(8, 10), Score(0.5, None, None, 1, "no interval: one example")
    for first, second in [(whole, bare), (bare, whole)]:
        result = difference(first, second)
        assert (result.low, result.high, result.excludes_zero) == (None, None, False)
        assert math.isclose(result.value, first.value - second.value)
        assert result.method == "no interval: one of the two scores has none"


def test_difference_with_an_interval_of_zero_width_has_none():
    """Zero errors on 20 examples do not prove that there are none, so the difference must not look certain."""
    sure, other = Score(1.0, 1.0, 1.0, 20, "every draw scores the same"), wilson_score(30, 40)
    for first, second in [(sure, other), (other, sure)]:
        result = difference(first, second)
        assert (result.low, result.high, result.excludes_zero) == (None, None, False)
        assert result.method == "no interval: that of one of the two scores has no width"
    assert difference(wilson_score(20, 20), other).excludes_zero


@pytest.mark.parametrize(
    ("low", "high", "shown"), [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.2, False), (0.0, 0.2, False)]
)
def test_excludes_zero_if_the_interval_does_not_contain_it(low, high, shown):
    assert Difference((low + high) / 2, low, high, 10, 10, "").excludes_zero is shown


@pytest.mark.parametrize(("one", "other"), [((0.9, 80), (0.8, 60)), ((0.97, 200), (0.85, 40))])
def test_interval_of_proportions_covers_the_true_difference(one, other):
    """The true difference lies in 95% of the intervals of 4,000 pairs of samples, +- 1.5 percentage points."""
    rng = np.random.default_rng(0)
    hits = zip(rng.binomial(one[1], one[0], 4000), rng.binomial(other[1], other[0], 4000), strict=True)
    result = [difference(wilson_score(int(a), one[1]), wilson_score(int(b), other[1])) for a, b in hits]
    covered = np.mean([score.low <= one[0] - other[0] <= score.high for score in result])
    assert covered == pytest.approx(0.95, abs=0.015)


def test_interval_of_bootstrapped_means_covers_the_true_difference():
    """Skewed values (losses) in samples of different sizes, with BCa intervals."""
    rng = np.random.default_rng(0)
    covered = []
    for seed in range(250):
        first = intervals.mean(rng.exponential(0.5, 150), resampling=Resampling(resamples=400, seed=seed))
        second = intervals.mean(rng.exponential(0.8, 100), resampling=Resampling(resamples=400, seed=seed))
        result = difference(first, second)
        covered.append(result.low <= 0.5 - 0.8 <= result.high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)
