"""Independent samples: the published example, signs, missing intervals, and coverage by simulation."""

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


def test_newcombe_1998_method_10():
    """Table II of the paper, 95 %: (a) 56/70 - 48/80, (d) 9/10 - 3/10, (h) 10/10 - 0/10."""
    for first, second, low, high in [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ]:
        found = difference(wilson_score(*first), wilson_score(*second))
        assert found.value == pytest.approx(first[0] / first[1] - second[0] / second[1])
        assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
        assert (found.first_n, found.second_n) == (first[1], second[1])
        assert found.method == "MOVER of independent samples, from Wilson 95%"


@given(shares, shares)
def test_exchanged_samples_have_the_opposite_interval_around_the_value(first, second):
    there = difference(wilson_score(*first), wilson_score(*second))
    back = difference(wilson_score(*second), wilson_score(*first))
    assert (there.value, there.low, there.high) == (-back.value, -back.high, -back.low)
    assert there.low <= there.value <= there.high
    assert there.low >= -1
    assert there.high <= 1


def test_symmetric_intervals_add_in_squares():
    """As errors of two normal means do, whatever their methods are called."""
    found = difference(Score(2.0, 1.7, 2.3, 50, "one"), Score(1.5, 1.1, 1.9, 80, "other"))
    assert (found.low, found.high) == (pytest.approx(0.0), pytest.approx(1.0))
    assert found.method == "MOVER of independent samples, from one and other"


def test_a_score_without_an_interval_leaves_the_difference_without_one():
    whole, bare = wilson_score(8, 10), Score(0.5, None, None, 1, "no interval: one example")
    for first, second in [(whole, bare), (bare, whole)]:
        found = difference(first, second)
        assert (found.low, found.high, found.excludes_zero) == (None, None, False)
        assert math.isclose(found.value, first.value - second.value)
        assert found.method == "no interval: one of the two scores has none"


def test_an_interval_without_width_tells_nothing():
    """No error on 20 rows is no proof that there are none: a sure difference must not come of it."""
    sure, other = Score(1.0, 1.0, 1.0, 20, "every draw scores the same"), wilson_score(30, 40)
    for first, second in [(sure, other), (other, sure)]:
        found = difference(first, second)
        assert (found.low, found.high, found.excludes_zero) == (None, None, False)
        assert found.method == "no interval: that of one of the two scores has no width"
    assert difference(wilson_score(20, 20), other).excludes_zero


@pytest.mark.parametrize(
    ("low", "high", "shown"), [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.2, False), (0.0, 0.2, False)]
)
def test_a_difference_is_shown_when_its_interval_leaves_zero_out(low, high, shown):
    assert Difference((low + high) / 2, low, high, 10, 10, "").excludes_zero is shown


@pytest.mark.parametrize(("one", "other"), [((0.9, 80), (0.8, 60)), ((0.97, 200), (0.85, 40))])
def test_shares_are_covered(one, other):
    """4,000 pairs of samples: the true difference lies in 95 % of the intervals, give or take 1.5 points."""
    rng = np.random.default_rng(0)
    hits = zip(rng.binomial(one[1], one[0], 4000), rng.binomial(other[1], other[0], 4000), strict=True)
    found = [difference(wilson_score(int(a), one[1]), wilson_score(int(b), other[1])) for a, b in hits]
    covered = np.mean([score.low <= one[0] - other[0] <= score.high for score in found])
    assert covered == pytest.approx(0.95, abs=0.015)


def test_bootstrapped_means_are_covered():
    """Skewed values (losses) of unequal samples, the intervals by BCa."""
    rng = np.random.default_rng(0)
    covered = []
    for seed in range(250):
        first = intervals.mean(rng.exponential(0.5, 150), resampling=Resampling(resamples=400, seed=seed))
        second = intervals.mean(rng.exponential(0.8, 100), resampling=Resampling(resamples=400, seed=seed))
        found = difference(first, second)
        covered.append(found.low <= 0.5 - 0.8 <= found.high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)
