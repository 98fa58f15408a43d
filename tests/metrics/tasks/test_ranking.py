import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import average_precision_score

from llmkit.metrics import intervals
from llmkit.metrics.intervals import measure_ranks
from llmkit.metrics.paired import rank_difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.tasks.ranking import (
    MACRO_PR_AUC,
    PR_AUC,
    SPEARMAN,
    midranks,
    pr_auc,
    pr_auc_difference,
    pr_auc_value,
)

LEVELS = st.sampled_from([-3.0, 0.0, 0.1, 0.25, 0.5, 0.5 + 1e-12, 1.0, 1e6])  # many ties


def columns(count, low=2, high=40):
    return st.integers(low, high).flatmap(lambda n: arrays(np.float64, (n, count), elements=LEVELS))


def quietly(function, *arguments, **options):
    """An oracle without its warnings on constants and on classes without positives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


def value(metric, rows, weights=None):
    weights = np.ones(len(rows)) if weights is None else weights
    return float(metric.score(np.asarray(rows, float), np.asarray(weights, float)[None])[0])


def marked(n=150, share=0.2, seed=0):
    rng = np.random.default_rng(seed)
    golds = (rng.random(n) < share).astype(int)
    return golds, np.round(rng.random(n) + 0.5 * golds, 2)  # rounded: ties


# Values


@given(columns(2))
def test_spearman_is_scipys_with_ties_and_constants(rows):
    expected = quietly(stats.spearmanr, *rows.T).statistic
    assert value(SPEARMAN, rows) == pytest.approx(0 if np.isnan(expected) else expected, abs=1e-9)


@given(columns(1), st.data())
def test_average_precision_is_scikit_learns_with_ties(rows, data):
    golds = data.draw(arrays(np.int64, len(rows), elements=st.integers(0, 1)))
    ours = pr_auc(golds, rows[:, 0], resampling=Resampling(resamples=2))
    expected = quietly(average_precision_score, golds, rows[:, 0])
    assert ours.value == pytest.approx(expected, abs=1e-9)  # 0 without positives, as there
    assert pr_auc_value(golds, rows[:, 0]) == ours.value


def test_macro_average_precision_is_scikit_learns():
    rng = np.random.default_rng(0)
    golds, probabilities = rng.integers(0, 4, 300), np.round(rng.random((300, 4)), 1)
    expected = average_precision_score(golds, probabilities, average="macro")
    assert pr_auc(np.eye(4)[golds], probabilities, resampling=Resampling(resamples=2)).value == pytest.approx(
        expected, abs=1e-9
    )


def test_a_class_without_gold_examples_is_not_in_the_mean():
    golds, probabilities = marked()
    both = np.stack([golds, np.zeros_like(golds)], axis=1)
    found = pr_auc(both, np.stack([probabilities, probabilities], axis=1), resampling=Resampling(resamples=2))
    assert found.value == pr_auc(golds, probabilities, resampling=Resampling(resamples=2)).value


@given(columns(3), st.data())
def test_a_weight_is_how_often_an_example_is_there(rows, data):
    rows[:, 0] = rows[:, 0] > 0.2
    weights = data.draw(arrays(np.int64, len(rows), elements=st.integers(0, 3)))
    written_out = np.repeat(rows, weights, axis=0)
    spearman = value(SPEARMAN, rows[:, 1:], weights)
    assert spearman == pytest.approx(value(SPEARMAN, written_out[:, 1:]), abs=1e-12)
    assert value(PR_AUC, rows[:, :2], weights) == pytest.approx(
        value(PR_AUC, written_out[:, :2]), abs=1e-12, nan_ok=True
    )


@given(columns(2))
def test_midranks_are_scipys(rows):
    assert midranks(rows).tolist() == stats.rankdata(rows, axis=0).tolist()
    assert midranks(rows[:, 0]).tolist() == stats.rankdata(rows[:, 0]).tolist()


def test_no_examples_have_no_score():
    found = pr_auc(np.zeros(0), np.zeros(0))
    assert (found.value, found.low, found.n) == (0.0, None, 0)
    found = measure_ranks(np.zeros((0, 2)), [SPEARMAN])["spearman"]
    assert (found.value, found.low, found.method) == (0.0, None, "no interval: no examples")


# Intervals


def test_without_positives_there_is_no_interval():
    found = pr_auc(np.zeros(30), np.random.default_rng(0).random(30))
    assert (found.value, found.low, found.high) == (0.0, None, None)
    assert found.method == "no interval: undefined on these examples, reported as 0"


def test_too_few_positives_leave_too_many_draws_without_a_score():
    golds, probabilities = np.zeros(50), np.random.default_rng(0).random(50)
    golds[0] = 1
    assert pr_auc(golds, probabilities).method.startswith("no interval: no score in 7")
    golds[1:3] = 1
    assert "draws without a score left out" in pr_auc(golds, probabilities).method


def test_the_interval_is_scipys_bootstrap():
    golds, probabilities = marked(n=120, share=0.4)
    ours = pr_auc(golds, probabilities)

    def score(golds, probabilities):
        return average_precision_score(golds, probabilities)

    theirs = stats.bootstrap(
        (golds, probabilities), score, paired=True, vectorized=False, rng=1, n_resamples=1500
    ).confidence_interval
    width = theirs.high - theirs.low
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.08 * width)
    assert ours.method == "BCa bootstrap, 2000 draws, 95%; average precision"


def test_methods_name_the_average():
    golds, probabilities = marked()
    both = pr_auc(np.stack([1 - golds, golds], 1), np.stack([1 - probabilities, probabilities], 1))
    assert both.method.endswith("; average precision, macro average")


def test_spearman_covers_the_true_correlation_in_95_of_100_samples():
    rng, covered, truth = np.random.default_rng(0), [], 6 / np.pi * np.arcsin(0.7 / 2)
    for trial in range(300):
        rows = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 60)
        found = measure_ranks(rows, [SPEARMAN], resampling=Resampling(resamples=400, seed=trial))["spearman"]
        covered.append(found.low <= truth <= found.high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_pr_auc_covers_the_true_area_in_93_of_100_samples():
    grid = np.linspace(-6, 8, 20_001)  # positives N(1, 1), 30 in 100; negatives N(0, 1)
    right, wrong = 0.3 * stats.norm.sf(grid - 1), 0.7 * stats.norm.sf(grid)
    truth = np.trapezoid(right / (right + wrong) * stats.norm.pdf(grid - 1), grid)
    rng, covered = np.random.default_rng(0), []
    for trial in range(400):
        golds = rng.random(100) < 0.3
        found = pr_auc(golds, rng.normal(size=100) + golds, resampling=Resampling(resamples=400, seed=trial))
        covered.append(found.low <= truth <= found.high)
    assert 0.90 <= np.mean(covered) <= 0.96


# Two systems


def test_a_difference_is_first_minus_second():
    golds, first = marked()
    second = np.random.default_rng(1).random(len(golds))
    found = pr_auc_difference(golds, first, second)
    expected = average_precision_score(golds, first) - average_precision_score(golds, second)
    assert found.value == pytest.approx(expected, abs=1e-9)
    assert 0 < found.low < found.value < found.high
    assert found.p_value < 0.01
    assert found.method == "paired BCa bootstrap, 2000 draws, 95%; p by 2000 random swaps"


def test_the_difference_of_macro_averages():
    rng = np.random.default_rng(0)
    golds = np.eye(3)[rng.integers(0, 3, 200)]
    first, second = golds + rng.random((200, 3)), 0.5 * golds + rng.random((200, 3))
    found = pr_auc_difference(golds, first, second, resampling=Resampling(resamples=200))
    scores = [average_precision_score(golds, probabilities) for probabilities in (first, second)]
    assert found.value == pytest.approx(scores[0] - scores[1], abs=1e-9)
    assert found.low > 0


def test_one_order_on_two_scales_is_no_difference():
    golds, first = marked()
    found = pr_auc_difference(golds, first, 1000 + 7 * first, resampling=Resampling(resamples=300))
    assert (found.value, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_swaps_are_those_of_a_written_out_loop():
    golds, first = marked(n=40, share=0.5)
    second = np.round(np.random.default_rng(5).random(40), 2) + 0.05 * golds
    ours = pr_auc_difference(golds, first, second, resampling=Resampling(resamples=5000)).p_value
    rng, one, other = np.random.default_rng(8), midranks(first), midranks(second)
    observed = average_precision_score(golds, one) - average_precision_score(golds, other)
    extreme = 0
    for _ in range(600):
        swap = rng.random(40) < 0.5
        pair = (np.where(swap, other, one), np.where(swap, one, other))
        gap = average_precision_score(golds, pair[0]) - average_precision_score(golds, pair[1])
        extreme += abs(gap) >= abs(observed) - 1e-12
    assert ours == pytest.approx((1 + extreme) / 601, abs=0.05)
    assert 0.02 < ours < 0.98


def test_swaps_are_uniform_where_there_is_no_difference():
    rng, p_values = np.random.default_rng(0), []
    for trial in range(200):
        truth, *noise = rng.normal(size=(3, 30))
        pairs = np.hstack([np.stack([truth, midranks(truth + part)], 1) for part in noise])
        p_values.append(
            rank_difference(pairs, SPEARMAN, resampling=Resampling(resamples=99, seed=trial)).p_value
        )
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_only_each_systems_own_order_counts_whatever_its_scale():
    golds, first = marked()
    second = np.round(np.random.default_rng(5).random(len(golds)) + 0.3 * golds, 2)
    found = pr_auc_difference(golds, first, second, resampling=Resampling(resamples=300))
    assert pr_auc_difference(golds, first, 50 + np.exp(second), resampling=Resampling(resamples=300)) == found
    assert 0.01 < found.p_value < 0.5


def test_without_positives_there_is_no_difference_and_p_is_one():
    rng = np.random.default_rng(0)
    found = pr_auc_difference(
        np.zeros(20), rng.random(20), rng.random(20), resampling=Resampling(resamples=50)
    )
    assert (found.value, found.low, found.p_value) == (0.0, None, 1.0)


def test_blocks_change_nothing(monkeypatch):
    golds, first = marked()
    second = np.random.default_rng(1).random(len(golds))
    whole = pr_auc(golds, first), pr_auc_difference(golds, first, second)
    for module in ("intervals", "paired"):
        monkeypatch.setattr(f"llmkit.metrics.{module}.BLOCK", 1000)
    parts = pr_auc(golds, first), pr_auc_difference(golds, first, second)
    assert (whole[0].low, whole[0].high) == pytest.approx((parts[0].low, parts[0].high), abs=1e-12)
    assert whole[1].p_value == parts[1].p_value


def test_no_block_is_larger_than_allowed(monkeypatch):
    sizes = []
    monkeypatch.setattr(intervals, "BLOCK", 1000)
    monkeypatch.setattr("llmkit.metrics.paired.BLOCK", 1000)

    def score(rows, weights):
        sizes.append(weights.size)
        return weights[:, 0]

    metric = type(PR_AUC)("watched", score)
    rank_difference(np.random.default_rng(0).random((90, 4)), metric, resampling=Resampling(resamples=200))
    assert max(sizes) <= 1000


def test_golds_and_probabilities_that_do_not_fit_are_bugs():
    with pytest.raises(AssertionError, match="0 or 1"):
        pr_auc(np.array([0, 2]), np.array([0.1, 0.2]))
    with pytest.raises(AssertionError, match="different shapes"):
        pr_auc(np.array([0, 1]), np.array([[0.1, 0.2]]))
    with pytest.raises(AssertionError, match="not a number"):
        pr_auc(np.array([0, 1]), np.array([0.1, np.nan]))
    assert MACRO_PR_AUC.name == PR_AUC.name == "pr_auc"
