import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from llmkit.metrics.intervals import as_sample
from llmkit.metrics.paired import (
    Difference,
    _swap_p_value,
    difference,
    examples_needed,
    holm,
    mcnemar,
    verdict,
)
from llmkit.metrics.score import Metric, ratio


def mean(sums):
    return ratio(sums[..., 0], sums[..., 1])


SHARE, MEAN = Metric("accuracy", mean, share=True), Metric("mean", mean)


def with_ones(*columns):
    return np.column_stack([part for column in columns for part in (column, np.ones(len(column)))])


def disagreements(only_first, only_second, both=10, neither=5):
    first = [True] * only_first + [False] * only_second + [True] * both + [False] * neither
    second = [False] * only_first + [True] * only_second + [True] * both + [False] * neither
    return np.array(first), np.array(second)


# The difference


@pytest.mark.parametrize("metric", [SHARE, MEAN])
def test_identical_systems_differ_by_exactly_nothing(metric):
    hits = np.random.default_rng(0).random(50) < 0.7
    found = difference(with_ones(hits, hits), metric)
    assert (found.value, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)
    assert "every draw scores the same" in found.method


@pytest.mark.parametrize("metric", [SHARE, MEAN])
def test_swapped_systems_have_the_opposite_difference(metric):
    rng = np.random.default_rng(0)
    first, second = rng.random(300) < 0.8, rng.random(300) < 0.6
    there, back = difference(with_ones(first, second), metric), difference(with_ones(second, first), metric)
    assert there.value == -back.value
    assert there.low == pytest.approx(-back.high, abs=0.01)
    assert there.high == pytest.approx(-back.low, abs=0.01)
    assert there.p_value == pytest.approx(back.p_value, abs=0.01)


def test_interval_is_the_bootstrap_of_the_examples_own_differences():
    rng = np.random.default_rng(0)
    easy = rng.normal(size=100)
    first, second = easy + rng.normal(0.2, 0.5, 100), easy + rng.normal(0, 0.5, 100)
    found = difference(with_ones(first, second), MEAN, resamples=10_000)
    theirs = stats.bootstrap((first - second,), np.mean, n_resamples=10_000, rng=1).confidence_interval
    assert found.value == pytest.approx((first - second).mean(), abs=1e-12)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_shares_are_tested_by_mcnemar_and_the_rest_by_swaps():
    first, second = disagreements(9, 3)
    share, other = (difference(with_ones(first, second), metric) for metric in (SHARE, MEAN))
    assert share.p_value == mcnemar(first, second)
    assert share.method == "paired BCa bootstrap, 2000 draws, 95%; p by McNemar's test"
    assert other.method == "paired BCa bootstrap, 2000 draws, 95%; p by 2000 random swaps"
    assert (share.value, share.low, share.high) == (other.value, other.low, other.high)


def test_swaps_give_the_exact_p_value_of_the_sign_test():
    first, second = disagreements(9, 3)
    exact = stats.binomtest(9, 12).pvalue
    assert _swap_p_value(as_sample(with_ones(first, second)), MEAN, 20_000, 0) == pytest.approx(
        exact, abs=0.01
    )


def test_swaps_are_uniform_where_there_is_no_difference():
    rng = np.random.default_rng(0)
    p_values = [
        _swap_p_value(as_sample(with_ones(*rng.normal(size=(2, 30)))), MEAN, 300, seed) for seed in range(200)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_examples_have_no_interval(n):
    found = difference(np.ones((n, 4)), SHARE)
    assert (found.low, found.high, found.p_value, found.n) == (None, None, 1.0, n)
    assert found.method.startswith("no interval")


# McNemar


@pytest.mark.parametrize("only_first, only_second", [(0, 0), (1, 0), (5, 5), (9, 3), (0, 12), (10, 14)])
def test_mcnemar_is_the_exact_binomial_below_25_disagreements(only_first, only_second):
    n = only_first + only_second
    expected = stats.binomtest(only_first, n).pvalue if n else 1.0
    assert mcnemar(*disagreements(only_first, only_second)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("only_first, only_second", [(15, 10), (86, 150), (300, 100)])
def test_mcnemar_is_chi_square_with_continuity_correction_from_25(only_first, only_second):
    statistic = (abs(only_first - only_second) - 1) ** 2 / (only_first + only_second)
    expected = stats.chi2.sf(statistic, 1)
    assert mcnemar(*disagreements(only_first, only_second)) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_equal_disagreements_is_one():
    assert mcnemar(*disagreements(40, 40)) == 1.0


# Holm


def test_holm_known_values():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_never_helps(p_values):
    adjusted = holm(p_values)
    assert all(before <= after <= 1 for before, after in zip(p_values, adjusted))
    ranked = [adjusted[i] for i in np.argsort(p_values, kind="stable")]
    assert ranked == sorted(ranked)


# Power


def test_examples_needed_by_hand():
    # 25% disagree, difference 0.05: (1.95996 * 0.5 + 0.84162 * sqrt(0.25 - 0.0025))^2 / 0.0025
    first, second = disagreements(15, 10, both=60, neither=15)
    assert examples_needed(first, second) == 783


def test_examples_needed_reach_the_power_asked_for():
    needed = examples_needed(*disagreements(20, 10, both=60, neither=10))
    rng, found = np.random.default_rng(0), 0
    for _ in range(500):
        only_first, only_second, _ = rng.multinomial(needed, [0.2, 0.1, 0.7])
        found += mcnemar(*disagreements(only_first, only_second)) < 0.05
    assert 0.74 <= found / 500 <= 0.86


def test_no_difference_needs_no_number_of_examples():
    assert examples_needed(*disagreements(7, 7)) is None


@given(st.integers(0, 30), st.integers(0, 30))
@settings(max_examples=50)
def test_examples_needed_does_not_depend_on_the_order(a, b):
    first, second = disagreements(a, b)
    assert examples_needed(first, second) == examples_needed(second, first)


# The sentence


def made(value, low, high, n=457):
    return Difference("accuracy", value, low, high, n, 0.95, 0.01, "")


def test_verdicts():
    assert (
        verdict(made(0.031, 0.008, 0.054), "the model", "TF-IDF")
        == "The model is better than TF-IDF by 3.1 points of accuracy (95% interval 0.8 to 5.4)."
    )
    assert (
        verdict(made(-0.031, -0.054, -0.008), "runs/a", "runs/b")
        == "runs/a is worse than runs/b by 3.1 points of accuracy (95% interval 0.8 to 5.4)."
    )
    assert (
        verdict(made(0.01, -0.02, 0.04), "the model", "TF-IDF")
        == "The interval covers zero: this test set (457 examples) does not show that "
        "the model is better than TF-IDF."
    )
    assert (
        verdict(made(1.0, None, None, n=1), "the model", "TF-IDF")
        == "This test set (1 example) is too small to compare the model with TF-IDF."
    )


def test_an_interval_that_ends_at_zero_covers_it():
    assert "covers zero" in verdict(made(0.02, 0.0, 0.04), "a", "b")
    assert "covers zero" in verdict(made(0.0, 0.0, 0.0), "a", "b")
