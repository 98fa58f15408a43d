import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from llmkit.metrics import clusters, paired
from llmkit.metrics.intervals import bootstrap, measure, measure_ranks
from llmkit.metrics.score import Metric, ratio
from llmkit.metrics.tasks.ranking import SPEARMAN


def mean(sums):
    return ratio(sums[..., 0], sums[..., 1])


SHARE, MEAN = Metric("share", mean, share=True), Metric("mean", mean)


def with_ones(*columns):
    return np.column_stack([part for column in columns for part in (column, np.ones(len(column)))])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 9)), min_size=1, max_size=40))
def test_statistics_are_summed_by_group(examples):
    values, groups = np.array(examples, float).T
    result = clusters.sum_by_group(with_ones(values), groups)
    expected = [(values[groups == group].sum(), (groups == group).sum()) for group in np.unique(groups)]
    assert result == pytest.approx(np.array(expected))


def test_missing_groups_fail_an_assertion():
    with pytest.raises(AssertionError, match="one group per example"):
        clusters.sum_by_group(np.ones((3, 2)), np.array([1, 1]))


def test_duplicates_within_a_group_do_not_narrow_the_interval():
    hits = np.random.default_rng(0).integers(0, 2, 40).astype(float)
    for metric in (SHARE, MEAN):
        once = measure(with_ones(hits), [metric], groups=np.arange(40))[metric.name]
        often = measure(with_ones(np.repeat(hits, 5)), [metric], groups=np.repeat(np.arange(40), 5))[
            metric.name
        ]
        assert (often.low, often.high) == pytest.approx((once.low, once.high))
        assert (once.n, often.n) == (40, 200)
        assert once.method == "BCa bootstrap, 2000 draws, 95%; clustered by 40 groups"


def test_bootstrap_and_measure_resample_the_same_groups():
    rng = np.random.default_rng(1)
    rows, groups = with_ones(rng.normal(size=60)), rng.integers(0, 20, 60)
    assert bootstrap(rows, mean, groups=groups) == measure(rows, [MEAN], groups=groups)["mean"]


@pytest.mark.parametrize("groups, why", [([], "no examples"), ([4, 4, 4], "one group")])
def test_too_few_groups_have_no_interval(groups, why):
    groups = np.array(groups, int)
    rows = with_ones(np.ones(len(groups)))
    for result in (
        measure(rows, [SHARE], groups=groups)["share"],
        measure_ranks(rows, [SPEARMAN], groups=groups)["spearman"],
        bootstrap(rows, mean, groups=groups),
    ):
        assert (result.low, result.high, result.n) == (None, None, len(groups))
        assert result.method == f"no interval: {why}"


def test_rank_metric_of_single_example_groups_equals_no_groups():
    xs = np.random.default_rng(2).normal(size=(50, 2))
    plain = measure_ranks(xs, [SPEARMAN])["spearman"]
    alone = measure_ranks(xs, [SPEARMAN], groups=np.arange(50)[::-1])["spearman"]
    assert alone.value == pytest.approx(plain.value)
    assert (alone.low, alone.high) == pytest.approx((plain.low, plain.high), abs=0.03)


@pytest.mark.parametrize("block", [clusters.BLOCK, 100])
def test_rank_interval_equals_the_bootstrap_of_whole_groups(monkeypatch, block):
    monkeypatch.setattr(clusters, "BLOCK", block)
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(25), 4)
    shift = rng.normal(size=25)[groups]
    xs = np.column_stack([shift + 0.3 * rng.normal(size=100), shift + rng.normal(size=100)])
    result = measure_ranks(xs, [SPEARMAN], groups=groups)["spearman"]

    def spearman(numbers):
        drawn = np.concatenate([np.flatnonzero(groups == number) for number in numbers])
        return stats.spearmanr(*xs[drawn].T).statistic

    theirs = stats.bootstrap((np.arange(25),), spearman, vectorized=False, n_resamples=2000, rng=4)
    ends = theirs.confidence_interval
    assert (result.low, result.high) == pytest.approx((ends.low, ends.high), abs=0.03)
    assert result.n == 100


def test_difference_of_proportions_resamples_and_swaps_groups():
    rng = np.random.default_rng(5)
    first, second = (rng.random(20) < share for share in (0.8, 0.4))
    pairs, groups = with_ones(first, second), np.arange(20)
    once = paired.difference(pairs, SHARE, groups=groups)
    often = paired.difference(np.repeat(pairs, 10, axis=0), SHARE, groups=np.repeat(groups, 10))
    assert (often.low, often.high, often.n) == (pytest.approx(once.low), pytest.approx(once.high), 200)
    assert often.p_value == pytest.approx(once.p_value, abs=0.02)
    assert once.method.endswith("p by 2000 random swaps; clustered by 20 groups")


def test_rank_difference_resamples_and_swaps_groups():
    rng = np.random.default_rng(6)
    reference = rng.normal(size=15)
    ranked = [stats.rankdata(reference + noise * rng.normal(size=15)) for noise in (0.5, 1.0)]
    pairs, groups = np.column_stack([reference, ranked[0], reference, ranked[1]]), np.arange(15)
    alone = paired.rank_difference(pairs, SPEARMAN)
    once = paired.rank_difference(pairs, SPEARMAN, groups=groups)
    often = paired.rank_difference(np.repeat(pairs, 8, axis=0), SPEARMAN, groups=np.repeat(groups, 8))
    fooled = paired.rank_difference(np.repeat(pairs, 8, axis=0), SPEARMAN)
    assert once.p_value == pytest.approx(alone.p_value, abs=0.05)
    assert often.p_value == pytest.approx(once.p_value, abs=0.05)
    assert fooled.p_value < 0.5 * often.p_value
    assert (often.low, often.high, often.n) == (pytest.approx(once.low), pytest.approx(once.high), 120)
