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
    """Call a reference implementation without its warnings about constants and classes without positives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


def value(metric, rows, weights=None):
    weights = np.ones(len(rows)) if weights is None else weights
    return float(metric.score(np.asarray(rows, float), np.asarray(weights, float)[None])[0])


def marked(n=150, share=0.2, seed=0):
    rng = np.random.default_rng(seed)
    references = (rng.random(n) < share).astype(int)
    return references, np.round(rng.random(n) + 0.5 * references, 2)  # rounded: ties


# Values


@given(columns(2))
def test_spearman_equals_scipy_with_ties_and_constants(rows):
    expected = quietly(stats.spearmanr, *rows.T).statistic
    assert value(SPEARMAN, rows) == pytest.approx(0 if np.isnan(expected) else expected, abs=1e-9)


@given(columns(1), st.data())
def test_average_precision_equals_scikit_learn_with_ties(rows, data):
    references = data.draw(arrays(np.int64, len(rows), elements=st.integers(0, 1)))
    ours = pr_auc(references, rows[:, 0], resampling=Resampling(resamples=2))
    expected = quietly(average_precision_score, references, rows[:, 0])
    assert ours.value == pytest.approx(expected, abs=1e-9)  # 0 without positives, as in scikit-learn
    assert pr_auc_value(references, rows[:, 0]) == ours.value


def test_macro_average_precision_equals_scikit_learn():
    rng = np.random.default_rng(0)
    references, probabilities = rng.integers(0, 4, 300), np.round(rng.random((300, 4)), 1)
    expected = average_precision_score(references, probabilities, average="macro")
    assert pr_auc(
        np.eye(4)[references], probabilities, resampling=Resampling(resamples=2)
    ).value == pytest.approx(expected, abs=1e-9)


def test_class_without_positives_is_not_in_the_mean():
    references, probabilities = marked()
    both = np.stack([references, np.zeros_like(references)], axis=1)
    result = pr_auc(
        both, np.stack([probabilities, probabilities], axis=1), resampling=Resampling(resamples=2)
    )
    assert result.value == pr_auc(references, probabilities, resampling=Resampling(resamples=2)).value


@given(columns(3), st.data())
def test_weights_count_how_often_an_example_occurs(rows, data):
    rows[:, 0] = rows[:, 0] > 0.2
    weights = data.draw(arrays(np.int64, len(rows), elements=st.integers(0, 3)))
    written_out = np.repeat(rows, weights, axis=0)
    spearman = value(SPEARMAN, rows[:, 1:], weights)
    assert spearman == pytest.approx(value(SPEARMAN, written_out[:, 1:]), abs=1e-12)
    assert value(PR_AUC, rows[:, :2], weights) == pytest.approx(
        value(PR_AUC, written_out[:, :2]), abs=1e-12, nan_ok=True
    )


@given(columns(2))
def test_midranks_equal_scipy(rows):
    assert midranks(rows).tolist() == stats.rankdata(rows, axis=0).tolist()
    assert midranks(rows[:, 0]).tolist() == stats.rankdata(rows[:, 0]).tolist()


def test_no_interval_without_examples():
    result = pr_auc(np.zeros(0), np.zeros(0))
    assert (result.value, result.low, result.n) == (0.0, None, 0)
    result = measure_ranks(np.zeros((0, 2)), [SPEARMAN])["spearman"]
    assert (result.value, result.low, result.method) == (0.0, None, "no interval: no examples")


# Intervals


def test_no_interval_without_positives():
    result = pr_auc(np.zeros(30), np.random.default_rng(0).random(30))
    assert (result.value, result.low, result.high) == (0.0, None, None)
    assert result.method == "no interval: undefined on these examples, reported as 0"


def test_no_interval_if_many_resamples_have_no_positives():
    references, probabilities = np.zeros(50), np.random.default_rng(0).random(50)
    references[0] = 1
    assert pr_auc(references, probabilities).method.startswith("no interval: no score in 7")
    references[1:3] = 1
    assert "draws without a score left out" in pr_auc(references, probabilities).method


def test_interval_equals_scipy_bootstrap():
    references, probabilities = marked(n=120, share=0.4)
    ours = pr_auc(references, probabilities)

    def score(references, probabilities):
        return average_precision_score(references, probabilities)

    theirs = stats.bootstrap(
        (references, probabilities), score, paired=True, vectorized=False, rng=1, n_resamples=1500
    ).confidence_interval
    width = theirs.high - theirs.low
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.08 * width)
    assert ours.method == "BCa bootstrap, 2000 draws, 95%; average precision"


def test_method_strings_name_the_average():
    references, probabilities = marked()
    both = pr_auc(np.stack([1 - references, references], 1), np.stack([1 - probabilities, probabilities], 1))
    assert both.method.endswith("; average precision, macro average")


def test_spearman_interval_covers_the_true_correlation_in_95_percent_of_samples():
    rng, covered, truth = np.random.default_rng(0), [], 6 / np.pi * np.arcsin(0.7 / 2)
    for trial in range(300):
        rows = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 60)
        result = measure_ranks(rows, [SPEARMAN], resampling=Resampling(resamples=400, seed=trial))["spearman"]
        covered.append(result.low <= truth <= result.high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_pr_auc_interval_covers_the_true_area_in_93_percent_of_samples():
    grid = np.linspace(-6, 8, 20_001)  # positives N(1, 1), 30 in 100; negatives N(0, 1)
    right, wrong = 0.3 * stats.norm.sf(grid - 1), 0.7 * stats.norm.sf(grid)
    truth = np.trapezoid(right / (right + wrong) * stats.norm.pdf(grid - 1), grid)
    rng, covered = np.random.default_rng(0), []
    for trial in range(400):
        references = rng.random(100) < 0.3
        result = pr_auc(
            references, rng.normal(size=100) + references, resampling=Resampling(resamples=400, seed=trial)
        )
        covered.append(result.low <= truth <= result.high)
    assert 0.90 <= np.mean(covered) <= 0.96


# Two systems


def test_difference_is_first_minus_second():
    references, first = marked()
    second = np.random.default_rng(1).random(len(references))
    result = pr_auc_difference(references, first, second)
    expected = average_precision_score(references, first) - average_precision_score(references, second)
    assert result.value == pytest.approx(expected, abs=1e-9)
    assert 0 < result.low < result.value < result.high
    assert result.p_value < 0.01
    assert result.method == "paired BCa bootstrap, 2000 draws, 95%; p by 2000 random swaps"


def test_difference_of_macro_averages():
    rng = np.random.default_rng(0)
    references = np.eye(3)[rng.integers(0, 3, 200)]
    first, second = references + rng.random((200, 3)), 0.5 * references + rng.random((200, 3))
    result = pr_auc_difference(references, first, second, resampling=Resampling(resamples=200))
    scores = [average_precision_score(references, probabilities) for probabilities in (first, second)]
    assert result.value == pytest.approx(scores[0] - scores[1], abs=1e-9)
    assert result.low > 0


def test_rescaled_scores_have_no_difference():
    references, first = marked()
    result = pr_auc_difference(references, first, 1000 + 7 * first, resampling=Resampling(resamples=300))
    assert (result.value, result.low, result.high, result.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_p_value_equals_an_explicit_loop_over_swaps():
    references, first = marked(n=40, share=0.5)
    second = np.round(np.random.default_rng(5).random(40), 2) + 0.05 * references
    ours = pr_auc_difference(references, first, second, resampling=Resampling(resamples=5000)).p_value
    rng, one, other = np.random.default_rng(8), midranks(first), midranks(second)
    observed = average_precision_score(references, one) - average_precision_score(references, other)
    extreme = 0
    for _ in range(600):
        swap = rng.random(40) < 0.5
        pair = (np.where(swap, other, one), np.where(swap, one, other))
        gap = average_precision_score(references, pair[0]) - average_precision_score(references, pair[1])
        extreme += abs(gap) >= abs(observed) - 1e-12
    assert ours == pytest.approx((1 + extreme) / 601, abs=0.05)
    assert 0.02 < ours < 0.98


def test_p_values_are_uniform_without_a_difference():
    rng, p_values = np.random.default_rng(0), []
    for trial in range(200):
        truth, *noise = rng.normal(size=(3, 30))
        pairs = np.hstack([np.stack([truth, midranks(truth + part)], 1) for part in noise])
        p_values.append(
            rank_difference(pairs, SPEARMAN, resampling=Resampling(resamples=99, seed=trial)).p_value
        )
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_difference_depends_only_on_the_order_within_each_system():
    references, first = marked()
    second = np.round(np.random.default_rng(5).random(len(references)) + 0.3 * references, 2)
    result = pr_auc_difference(references, first, second, resampling=Resampling(resamples=300))
    assert (
        pr_auc_difference(references, first, 50 + np.exp(second), resampling=Resampling(resamples=300))
        == result
    )
    assert 0.01 < result.p_value < 0.5


def test_p_value_without_positives_is_1():
    rng = np.random.default_rng(0)
    result = pr_auc_difference(
        np.zeros(20), rng.random(20), rng.random(20), resampling=Resampling(resamples=50)
    )
    assert (result.value, result.low, result.p_value) == (0.0, None, 1.0)


def test_block_size_does_not_change_the_result(monkeypatch):
    references, first = marked()
    second = np.random.default_rng(1).random(len(references))
    whole = pr_auc(references, first), pr_auc_difference(references, first, second)
    for module in ("intervals", "paired"):
        monkeypatch.setattr(f"llmkit.metrics.{module}.BLOCK", 1000)
    parts = pr_auc(references, first), pr_auc_difference(references, first, second)
    assert (whole[0].low, whole[0].high) == pytest.approx((parts[0].low, parts[0].high), abs=1e-12)
    assert whole[1].p_value == parts[1].p_value


def test_blocks_do_not_exceed_their_size(monkeypatch):
    sizes = []
    monkeypatch.setattr(intervals, "BLOCK", 1000)
    monkeypatch.setattr("llmkit.metrics.paired.BLOCK", 1000)

    def score(rows, weights):
        sizes.append(weights.size)
        return weights[:, 0]

    metric = type(PR_AUC)("watched", score)
    rank_difference(np.random.default_rng(0).random((90, 4)), metric, resampling=Resampling(resamples=200))
    assert max(sizes) <= 1000


def test_invalid_labels_and_probabilities_fail_an_assertion():
    with pytest.raises(AssertionError, match="0 or 1"):
        pr_auc(np.array([0, 2]), np.array([0.1, 0.2]))
    with pytest.raises(AssertionError, match="different shapes"):
        pr_auc(np.array([0, 1]), np.array([[0.1, 0.2]]))
    with pytest.raises(AssertionError, match="not a number"):
        pr_auc(np.array([0, 1]), np.array([0.1, np.nan]))
    assert MACRO_PR_AUC.name == PR_AUC.name == "pr_auc"
