import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from llmkit.metrics import intervals
from llmkit.metrics.intervals import (
    Sample,
    bootstrap,
    measure,
    measure_ranks,
    merge_equal_rows,
    resample,
    wilson,
    wilson_score,
)
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Metric, RankMetric, ratio


def mean(sums):
    return ratio(sums[..., 0], sums[..., 1])


def bca_tails(sample, value, scores, confidence=0.95):
    return intervals._bca_tails(mean(sample.total - sample.rows), sample.counts, value, scores, confidence)


def with_ones(values):
    return np.column_stack([values, np.ones(len(values))])


# Wilson


@pytest.mark.parametrize(
    "hits, n", [(0, 1), (1, 1), (0, 20), (20, 20), (7, 20), (371, 457), (99_999, 100_000)]
)
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_wilson_equals_scipy(hits, n, confidence):
    theirs = stats.binomtest(hits, n).proportion_ci(confidence, method="wilson")
    assert wilson(hits, n, confidence) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_ends_are_exactly_0_and_1():
    for n in range(1, 200):
        assert wilson(0, n)[0] == 0.0
        assert wilson(n, n)[1] == 1.0


def test_wilson_score_without_examples_has_no_interval():
    assert wilson(0, 0) == (None, None)
    score = wilson_score(0, 0)
    assert (score.value, score.low, score.high, score.n) == (0.0, None, None, 0)
    assert score.method == "no interval: no examples"


def test_wilson_method_names_the_confidence():
    assert wilson_score(3, 4).method == "Wilson 95%"
    assert wilson_score(3, 4, 0.999).method == "Wilson 99.9%"


# Resampling


def test_merging_equal_rows_keeps_the_total():
    statistics = np.array([[1, 2], [3, 4], [1, 2], [1, 2]])
    sample = merge_equal_rows(statistics)
    assert sample.rows.tolist() == [[1, 2], [3, 4]]
    assert sample.counts.tolist() == [3, 1]
    assert sample.n == 4
    assert sample.total.tolist() == statistics.sum(0).tolist()


@pytest.mark.parametrize("weights", [intervals._multinomial, intervals._counted_indices])
def test_every_resample_has_n_examples(weights):
    sample = Sample(np.eye(3), np.array([5, 1, 14]))
    drawn = weights(np.random.default_rng(0), sample, 200)
    assert drawn.shape == (200, 3)
    assert (drawn.sum(1) == 20).all()


def test_multinomial_and_counted_indices_have_the_same_distribution():
    sample = Sample(np.eye(3), np.array([50, 10, 140]))
    merged = intervals._multinomial(np.random.default_rng(0), sample, 20_000)
    one_by_one = intervals._counted_indices(np.random.default_rng(1), sample, 20_000)
    assert merged.mean(0) == pytest.approx(one_by_one.mean(0), abs=0.25)  # standard error 0.06
    assert np.cov(merged.T) == pytest.approx(np.cov(one_by_one.T), abs=2)  # standard error 0.4
    levels = (0.025, 0.25, 0.75, 0.975)
    assert np.quantile(merged, levels, axis=0) == pytest.approx(
        np.quantile(one_by_one, levels, axis=0), abs=1
    )


@pytest.mark.parametrize("distinct", [2, 100])
def test_resampled_sums_have_the_expected_moments(distinct):
    values = np.tile(np.arange(distinct, dtype=float), 200 // distinct)
    sums = resample(merge_equal_rows(with_ones(values)), Resampling(resamples=5000))
    assert (sums[:, 1] == 200).all()
    assert sums[:, 0].mean() == pytest.approx(values.sum(), rel=0.01)
    assert sums[:, 0].std() == pytest.approx(values.std() * 200**0.5, rel=0.05)


def test_blocks_contain_all_resamples(monkeypatch):
    sample = merge_equal_rows(with_ones(np.random.default_rng(0).random(50)))
    monkeypatch.setattr(intervals, "BLOCK", 50 * 7)
    assert resample(sample, Resampling(resamples=23)).shape == (23, 2)


def test_interval_depends_on_the_seed_alone():
    statistics = with_ones(np.random.default_rng(0).random(80))
    assert bootstrap(statistics, mean, resampling=Resampling(seed=3)) == bootstrap(
        statistics, mean, resampling=Resampling(seed=3)
    )
    assert bootstrap(statistics, mean, resampling=Resampling(seed=3)) != bootstrap(
        statistics, mean, resampling=Resampling(seed=4)
    )


# The bootstrap interval


@pytest.mark.parametrize("method", ["bca", "percentile"])
@pytest.mark.parametrize("draw", ["normal", "exponential", "lognormal"])
def test_interval_of_a_mean_equals_scipy(method, draw):
    values = getattr(np.random.default_rng(5), draw)(size=60)
    ours = bootstrap(with_ones(values), mean, resampling=Resampling(resamples=20_000), method=method)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="BCa" if method == "bca" else method, rng=7
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.02 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.02 * width)
    assert ours.value == pytest.approx(values.mean(), abs=1e-12)


def test_bca_interval_is_shifted_to_the_long_tail():
    values = np.random.default_rng(0).lognormal(sigma=1.5, size=50)
    bca, percentile = (bootstrap(with_ones(values), mean, method=method) for method in ("bca", "percentile"))
    assert bca.low > percentile.low
    assert bca.high > percentile.high


def test_merging_rows_does_not_change_the_bca_tails():
    values = np.random.default_rng(0).integers(0, 3, 40).astype(float) ** 2
    apart = Sample(with_ones(values), np.ones(40, dtype=np.int64))
    scores = np.random.default_rng(1).normal(values.mean(), 0.1, 500)
    tails = [bca_tails(s, values.mean(), scores) for s in (apart, merge_equal_rows(apart.rows))]
    assert tails[0] == pytest.approx(tails[1], abs=1e-12)


def test_ties_count_half_in_the_bias_of_bca():
    sample = merge_equal_rows(with_ones(np.array([0.0, 1.0] * 10)))
    tails = bca_tails(sample, 0.5, np.array([0.4, 0.5 - 1e-15, 0.5, 0.5 + 1e-15, 0.6]))
    assert tails == pytest.approx((0.025, 0.975), abs=1e-12)


def test_bca_is_undefined_for_large_acceleration():
    sample = Sample(np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([10_000, 1]))
    scores = np.array([0.0] * 1999 + [1.0])
    assert bca_tails(sample, 0.5, scores) is not None
    assert bca_tails(sample, 0.5, scores, 0.999) is None


def test_method_names_interval_resamples_and_confidence():
    statistics = with_ones(np.random.default_rng(0).random(30))
    assert bootstrap(statistics, mean).method == "BCa bootstrap, 2000 draws, 95%"
    assert (
        bootstrap(
            statistics, mean, method="percentile", resampling=Resampling(resamples=300, confidence=0.9)
        ).method
        == "percentile bootstrap, 300 draws, 90%"
    )


def test_higher_confidence_gives_a_wider_interval():
    statistics = with_ones(np.random.default_rng(0).random(30))
    narrow, wide = (
        bootstrap(statistics, mean, resampling=Resampling(confidence=confidence))
        for confidence in (0.8, 0.99)
    )
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("n, why", [(0, "no interval: no examples"), (1, "no interval: one example")])
def test_too_few_examples_have_no_interval(n, why):
    score = bootstrap(np.full((n, 2), 1.0), mean)
    assert (score.value, score.low, score.high, score.n) == (float(n), None, None, n)
    assert score.method == why


def test_interval_of_a_constant_has_zero_width_and_the_method_says_so():
    score = bootstrap(with_ones(np.full(40, 0.1)), mean)
    assert score.low == score.value == score.high
    assert (
        score.method
        == "percentile bootstrap, 2000 draws, 95%; BCa undefined here; every draw scores the same"
    )


def test_resamples_without_a_score_are_left_out_and_counted():
    values = np.zeros(40)
    values[:4] = 1.0  # 1.5% of the resamples contain none of them

    def undefined_without_hits(sums):
        return np.where(sums[..., 0] > 0, mean(sums), np.nan)

    score = bootstrap(with_ones(values), undefined_without_hits)
    assert "draws without a score left out" in score.method
    assert 0 < score.low <= 0.1 <= score.high


def test_no_interval_if_the_score_is_undefined_in_many_resamples():
    values = np.zeros(40)
    values[0] = 1.0

    def undefined_without_hits(sums):
        return np.where(sums[..., 0] > 0, mean(sums), np.nan)

    score = bootstrap(with_ones(values), undefined_without_hits, resampling=Resampling(resamples=1000))
    assert (score.low, score.high) == (None, None)
    assert score.method.startswith("no interval: no score in 3")
    assert score.method.endswith("of 1000 draws")


def test_value_outside_all_resamples_extends_the_interval():
    def distinct(sums):  # a resample never contains all 200 examples
        return (sums[..., :-1] > 0).sum(-1) / 200

    score = bootstrap(np.eye(200), distinct)
    assert score.low < 0.75 < score.value
    assert score.high == score.value
    assert "BCa undefined here" in score.method


@given(
    arrays(np.float64, st.tuples(st.integers(2, 30), st.just(2)), elements=st.floats(0, 1)),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["bca", "percentile"]),
)
@settings(max_examples=80, deadline=None)
def test_interval_contains_the_value(statistics, seed, method):
    score = bootstrap(
        statistics,
        lambda sums: ratio(sums[..., 0], sums.sum(-1)),
        resampling=Resampling(resamples=50, seed=seed),
        method=method,
    )
    assert score.low <= score.value <= score.high


# Several metrics at once


def test_measure_uses_wilson_for_proportions_and_bca_for_all_others():
    values = np.array([1.0] * 30 + [0.0] * 10)
    metrics = [
        Metric("share", mean, share=True),
        Metric("odds", lambda s: s[..., 0] / s[..., 1], note="a note"),
    ]
    result = measure(with_ones(values), metrics, resampling=Resampling(seed=1))
    assert result["share"] == wilson_score(30, 40)
    expected = bootstrap(with_ones(values), mean, resampling=Resampling(seed=1))
    assert (result["odds"].low, result["odds"].high) == (expected.low, expected.high)
    assert result["odds"].method == "BCa bootstrap, 2000 draws, 95%; a note"


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_proportion_is_exactly_hits_over_n(pair):
    hits, n = pair
    sample = Sample(np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([n - hits, hits]))
    assert measure(sample, [Metric("share", mean, share=True)])["share"].value == hits / n


# Scores of weighted examples


def weighted_mean(rows, weights):
    return ratio(weights @ rows[:, 0], weights.sum(1))


@pytest.mark.parametrize("draw", ["random", "merged"])
def test_rank_metric_of_sums_has_the_interval_of_the_sums(draw):
    rng = np.random.default_rng(0)
    values = rng.random(60) if draw == "random" else rng.integers(0, 3, 90).astype(float)
    by_weights = measure_ranks(
        with_ones(values), [RankMetric("mean", weighted_mean, note="a note")], resampling=Resampling(seed=2)
    )
    by_sums = bootstrap(with_ones(values), mean, resampling=Resampling(seed=2))
    result = by_weights["mean"]
    assert (result.value, result.low, result.high) == pytest.approx(
        (by_sums.value, by_sums.low, by_sums.high), abs=1e-12
    )
    assert result.method == by_sums.method + "; a note"


def test_jackknife_leaves_out_one_example_of_each_row(monkeypatch):
    monkeypatch.setattr(intervals, "BLOCK", 6)
    blocks = list(intervals._without_each(Sample(np.eye(3), np.array([5, 1, 2]))))
    assert [len(block) for block in blocks] == [2, 1]
    assert np.concatenate(blocks).tolist() == [[4, 1, 2], [5, 0, 2], [5, 1, 1]]


def test_many_distinct_rows_get_the_percentile_interval(monkeypatch):
    monkeypatch.setattr(intervals, "JACKKNIFE_ROWS", 59)
    values = np.random.default_rng(0).lognormal(size=60)
    result = measure_ranks(
        with_ones(values), [RankMetric("mean", weighted_mean)], resampling=Resampling(seed=2)
    )["mean"]
    percentile = bootstrap(with_ones(values), mean, resampling=Resampling(seed=2), method="percentile")
    assert (result.low, result.high) == pytest.approx((percentile.low, percentile.high), abs=1e-12)
    assert result.method == percentile.method == "percentile bootstrap, 2000 draws, 95%"


@pytest.mark.parametrize("n, why", [(0, "no interval: no examples"), (1, "no interval: one example")])
def test_rank_metric_of_too_few_examples_has_no_interval(n, why):
    result = measure_ranks(np.full((n, 2), 1.0), [RankMetric("mean", weighted_mean)])["mean"]
    assert (result.value, result.low, result.high, result.n, result.method) == (float(n), None, None, n, why)


def test_undefined_score_is_reported_as_0_and_the_method_says_so():
    result = bootstrap(with_ones(np.ones(9)), lambda sums: np.full(sums.shape[:-1], np.nan))
    assert (result.value, result.low, result.n) == (0.0, None, 9)
    assert result.method == "no interval: undefined on these examples, reported as 0"


# Coverage


def test_wilson_interval_covers_the_true_proportion_in_95_percent_of_samples():
    hits = np.random.default_rng(0).binomial(100, 0.8, 2000).tolist()
    covered = [low <= 0.8 <= high for low, high in (wilson(h, 100) for h in hits)]
    assert 0.92 <= np.mean(covered) <= 0.98


def test_bca_interval_covers_a_skewed_mean_in_95_percent_of_samples():
    rng, trials = np.random.default_rng(0), 400
    result = [
        bootstrap(with_ones(rng.exponential(size=60)), mean, resampling=Resampling(resamples=500, seed=i))
        for i in range(trials)
    ]
    assert 0.92 <= np.mean([score.low <= 1.0 <= score.high for score in result]) <= 0.98


def test_mean_of_single_precision_numbers_is_computed_in_double():
    values = np.random.default_rng(0).normal(3, 1, 400).astype(np.float32)
    score = intervals.mean(values, resampling=Resampling(seed=1))
    assert score.value == pytest.approx(values.astype(np.float64).mean(), abs=1e-9)
    assert score.high - score.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
