import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from llmkit.metrics.intervals import merge_equal_rows
from llmkit.metrics.paired import (
    Difference,
    _swap_p_value,
    describe_difference,
    difference,
    examples_needed,
    holm,
    mcnemar,
    rank_difference,
)
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Metric, RankMetric, ratio


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
def test_identical_systems_have_a_difference_of_exactly_0(metric):
    hits = np.random.default_rng(0).random(50) < 0.7
    result = difference(with_ones(hits, hits), metric)
    assert (result.value, result.low, result.high, result.p_value) == (0.0, 0.0, 0.0, 1.0)
    assert "every draw scores the same" in result.method


@pytest.mark.parametrize("metric", [SHARE, MEAN])
def test_swapping_the_systems_negates_the_difference(metric):
    rng = np.random.default_rng(0)
    first, second = rng.random(300) < 0.8, rng.random(300) < 0.6
    there, back = difference(with_ones(first, second), metric), difference(with_ones(second, first), metric)
    assert there.value == -back.value
    assert there.low == pytest.approx(-back.high, abs=0.01)
    assert there.high == pytest.approx(-back.low, abs=0.01)
    assert there.p_value == pytest.approx(back.p_value, abs=0.01)


def test_interval_equals_the_bootstrap_of_the_differences_per_example():
    rng = np.random.default_rng(0)
    easy = rng.normal(size=100)
    first, second = easy + rng.normal(0.2, 0.5, 100), easy + rng.normal(0, 0.5, 100)
    result = difference(with_ones(first, second), MEAN, resampling=Resampling(resamples=10_000))
    theirs = stats.bootstrap((first - second,), np.mean, n_resamples=10_000, rng=1).confidence_interval
    assert result.value == pytest.approx((first - second).mean(), abs=1e-12)
    assert (result.low, result.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_proportions_use_mcnemar_and_other_metrics_random_swaps():
    first, second = disagreements(9, 3)
    share, other = (difference(with_ones(first, second), metric) for metric in (SHARE, MEAN))
    assert share.p_value == mcnemar(first, second)
    assert share.method == "paired BCa bootstrap, 2000 draws, 95%; p by McNemar's test"
    assert other.method == "paired BCa bootstrap, 2000 draws, 95%; p by 2000 random swaps"
    assert (share.value, share.low, share.high) == (other.value, other.low, other.high)


def test_random_swaps_give_the_p_value_of_the_exact_sign_test():
    first, second = disagreements(9, 3)
    exact = stats.binomtest(9, 12).pvalue
    assert _swap_p_value(
        merge_equal_rows(with_ones(first, second)), MEAN, Resampling(resamples=20_000)
    ) == pytest.approx(exact, abs=0.01)


def test_p_values_are_uniform_without_a_difference():
    rng = np.random.default_rng(0)
    p_values = [
        _swap_p_value(
            merge_equal_rows(with_ones(*rng.normal(size=(2, 30)))), MEAN, Resampling(resamples=300, seed=seed)
        )
        for seed in range(200)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_examples_have_no_interval(n):
    result = difference(np.ones((n, 4)), SHARE)
    assert (result.low, result.high, result.p_value, result.n) == (None, None, 1.0, n)
    assert result.method.startswith("no interval")


# Weighted examples


def weighted_mean(rows, weights):
    return ratio(weights @ rows[:, 0], weights.sum(1))


def test_rank_difference_of_sums_equals_the_difference_of_sums():
    first, second = np.random.default_rng(0).normal([[0.1], [0.0]], 1, (2, 80))
    by_weights = rank_difference(
        with_ones(first, second), RankMetric("mean", weighted_mean), resampling=Resampling(seed=2)
    )
    by_sums = difference(with_ones(first, second), MEAN, resampling=Resampling(seed=2))
    assert (by_weights.value, by_weights.low, by_weights.high) == pytest.approx(
        (by_sums.value, by_sums.low, by_sums.high), abs=1e-12
    )
    assert by_weights.p_value == pytest.approx(by_sums.p_value, abs=0.03)
    assert 0.05 < by_weights.p_value < 0.95
    assert by_weights.method == by_sums.method


def test_equal_pairs_are_swapped_independently():
    first, second = disagreements(9, 3)
    result = rank_difference(
        with_ones(first, second), RankMetric("mean", weighted_mean), resampling=Resampling(resamples=20_000)
    )
    assert result.p_value == pytest.approx(stats.binomtest(9, 12).pvalue, abs=0.01)


@pytest.mark.parametrize("n", [0, 1])
def test_rank_metric_of_too_few_examples_has_no_interval(n):
    result = rank_difference(
        np.ones((n, 4)), RankMetric("mean", weighted_mean), resampling=Resampling(resamples=50)
    )
    assert (result.value, result.low, result.high, result.p_value, result.n) == (0.0, None, None, 1.0, n)


def test_difference_keeps_the_metrics_direction_and_point():
    pairs = with_ones(*np.random.default_rng(0).normal(size=(2, 30)))
    for result in (
        difference(pairs, Metric("mse", mean, higher_is_better=False, point=None)),
        difference(pairs, Metric("error", mean, share=True, higher_is_better=False, point=None)),
        rank_difference(pairs, RankMetric("loss", weighted_mean, higher_is_better=False, point=None)),
    ):
        assert (result.higher_is_better, result.point) == (False, None)
    assert (difference(pairs, MEAN).higher_is_better, difference(pairs, MEAN).point) == (True, 0.01)
    assert difference(pairs, Metric("bleu", mean, point=1)).point == 1


# McNemar


@pytest.mark.parametrize("only_first, only_second", [(0, 0), (1, 0), (5, 5), (9, 3), (0, 12), (10, 14)])
def test_mcnemar_is_exact_below_25_disagreements(only_first, only_second):
    n = only_first + only_second
    expected = stats.binomtest(only_first, n).pvalue if n else 1.0
    assert mcnemar(*disagreements(only_first, only_second)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("only_first, only_second", [(15, 10), (86, 150), (300, 100)])
def test_mcnemar_is_corrected_chi_square_from_25_disagreements(only_first, only_second):
    statistic = (abs(only_first - only_second) - 1) ** 2 / (only_first + only_second)
    expected = stats.chi2.sf(statistic, 1)
    assert mcnemar(*disagreements(only_first, only_second)) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_equal_disagreements_is_1():
    assert mcnemar(*disagreements(40, 40)) == 1.0


# Holm


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_never_lowers_a_p_value(p_values):
    adjusted = holm(p_values)
    assert all(before <= after <= 1 for before, after in zip(p_values, adjusted))
    ranked = [adjusted[i] for i in np.argsort(p_values, kind="stable")]
    assert ranked == sorted(ranked)


# Power


def test_examples_needed_by_hand():
    # 25% disagree, difference 0.05: (1.95996 * 0.5 + 0.84162 * sqrt(0.25 - 0.0025))^2 / 0.0025
    first, second = disagreements(15, 10, both=60, neither=15)
    assert examples_needed(first, second) == 783


def test_needed_examples_reach_the_requested_power():
    needed = examples_needed(*disagreements(20, 10, both=60, neither=10))
    rng, result = np.random.default_rng(0), 0
    for _ in range(500):
        only_first, only_second, _ = rng.multinomial(needed, [0.2, 0.1, 0.7])
        result += mcnemar(*disagreements(only_first, only_second)) < 0.05
    assert 0.74 <= result / 500 <= 0.86


def test_examples_needed_is_none_without_a_difference():
    assert examples_needed(*disagreements(7, 7)) is None


def test_examples_needed_are_estimated_for_any_metric():
    """For a mean, normal theory gives ((z_error + z_power) sd / gap)^2."""
    rng = np.random.default_rng(0)
    gaps = rng.normal(0.1, 1, 4000)
    result = difference(with_ones(gaps, np.zeros(4000)), MEAN)
    assert result.examples_needed == pytest.approx(((1.96 + 0.8416) * gaps.std() / gaps.mean()) ** 2, rel=0.1)


def test_needed_examples_find_the_difference_in_80_percent_of_samples():
    result = difference(with_ones(np.random.default_rng(1).normal(0.3, 1, 3000), np.zeros(3000)), MEAN)
    shown = [
        difference(
            with_ones(
                np.random.default_rng([2, trial]).normal(result.value, 1, result.examples_needed),
                np.zeros(result.examples_needed),
            ),
            MEAN,
            resampling=Resampling(resamples=200),
        )
        for trial in range(100)
    ]
    assert 0.7 <= np.mean([one.low > 0 or one.high < 0 for one in shown]) <= 0.9


def test_proportions_need_the_examples_of_mcnemar_and_clusters_more():
    hits = [column.astype(float) for column in disagreements(15, 10, both=60, neither=15)]
    assert difference(with_ones(*hits), SHARE).examples_needed == 783
    often = with_ones(*(np.repeat(column, 4) for column in hits))
    grouped = difference(often, SHARE, groups=np.repeat(np.arange(100), 4))
    assert grouped.examples_needed == pytest.approx(4 * 783, rel=0.15)


def test_examples_needed_is_none_without_a_difference_or_interval():
    same = with_ones(np.arange(9.0), np.arange(9.0))
    assert difference(same, MEAN).examples_needed is None
    assert difference(same[:1], MEAN).examples_needed is None


@given(st.integers(0, 30), st.integers(0, 30))
@settings(max_examples=50)
def test_examples_needed_does_not_depend_on_the_order_of_the_systems(a, b):
    first, second = disagreements(a, b)
    assert examples_needed(first, second) == examples_needed(second, first)


# The sentence


def made(value, low, high, n=457, metric="accuracy", **fields):
    return Difference(metric, value, low, high, n, 0.95, 0.01, "", **fields)


def test_descriptions_by_hand():
    assert (
        describe_difference(made(0.031, 0.008, 0.054), "the model", "TF-IDF")
        == "The model is better than TF-IDF by 3.1 points of accuracy (95% CI 0.8 to 5.4)."
    )
    assert (
        describe_difference(made(-0.031, -0.054, -0.008), "runs/a", "runs/b")
        == "runs/a is worse than runs/b by 3.1 points of accuracy (95% CI 0.8 to 5.4)."
    )
    assert (
        describe_difference(made(0.01, -0.02, 0.04), "the model", "TF-IDF")
        == "The 95% CI of the difference covers zero: this test set (457 examples) does not show that "
        "the model is better than TF-IDF."
    )
    assert describe_difference(made(-0.01, -0.04, 0.02), "the model", "TF-IDF").endswith(
        "better than TF-IDF. On these examples the model did worse."
    )
    assert (
        describe_difference(made(1.0, None, None, n=1), "the model", "TF-IDF")
        == "This test set (1 example) is too small to compare the model with TF-IDF."
    )


def test_inconclusive_description_says_how_many_examples_are_needed():
    ended = [
        describe_difference(made(0.01, -0.02, 0.04, examples_needed=needed), "a", "b").partition("than b.")[2]
        for needed in (None, 7, 783, 12_345, 2_000_000)
    ]
    assert ended == [
        "",
        " Showing a difference of this size in accuracy takes about 7 examples.",
        " Showing a difference of this size in accuracy takes about 790 examples.",
        " Showing a difference of this size in accuracy takes about 13,000 examples.",
        " Showing a difference this small in accuracy takes more than a million examples.",
    ]
    assert "takes" not in describe_difference(made(0.031, 0.008, 0.054, examples_needed=400), "a", "b")


def test_interval_that_ends_at_zero_contains_it():
    assert "covers zero" in describe_difference(made(0.02, 0.0, 0.04), "a", "b")
    assert "covers zero" in describe_difference(made(0.0, 0.0, 0.0), "a", "b")


ERROR = {"metric": "mse", "higher_is_better": False, "point": None}


def test_lower_is_better_if_the_metric_says_so():
    assert (
        describe_difference(made(-0.31, -0.42, -0.2, **ERROR), "the model", "TF-IDF")
        == "The model is better than TF-IDF by 0.31 in mse (95% CI 0.20 to 0.42)."
    )
    assert (
        describe_difference(made(0.31, 0.2, 0.42, **ERROR), "the model", "TF-IDF")
        == "The model is worse than TF-IDF by 0.31 in mse (95% CI 0.20 to 0.42)."
    )
    assert "covers zero" in describe_difference(made(-0.1, -0.3, 0.1, **ERROR), "a", "b")
    share = made(-0.031, -0.054, -0.008, metric="hamming_loss", higher_is_better=False)
    assert (
        describe_difference(share, "the model", "TF-IDF")
        == "The model is better than TF-IDF by 3.1 points of hamming_loss (95% CI 0.8 to 5.4)."
    )


@pytest.mark.parametrize(
    "value, low, high, words",
    [
        (0.00123, 0.0002, 0.0031, "0.0012 in mse (95% CI 0.0002 to 0.0031)"),
        (3.14159, 1.5, 4.25, "3.1 in mse (95% CI 1.5 to 4.2)"),
        (1234.5, 900.2, 1500.7, "1234 in mse (95% CI 900 to 1501)"),
    ],
)
def test_number_with_a_unit_is_described_with_two_digits(value, low, high, words):
    assert words in describe_difference(made(value, low, high, **ERROR), "a", "b")


def test_point_on_a_0_100_scale_is_1():
    result = made(2.345, 1.25, 3.5, metric="bleu", point=1)
    assert "by 2.3 points of bleu (95% CI 1.2 to 3.5)" in describe_difference(result, "a", "b")
