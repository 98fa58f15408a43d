import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import mean_absolute_error, mean_squared_error

from llmkit.base.errors import UserError
from llmkit.metrics.paired import describe_difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.tasks import regression
from llmkit.metrics.tasks.regression import METRICS, difference, scores, values

ORACLES = {
    "pearson": lambda g, p: stats.pearsonr(g, p).statistic,
    "spearman": lambda g, p: stats.spearmanr(g, p).statistic,
    "mse": mean_squared_error,
    "mae": mean_absolute_error,
}


def noisy(n=200, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    golds = rng.normal(2.5, 1.2, n)
    return golds, golds + rng.normal(0, noise, n)


GOLDS, PREDICTIONS = noisy()
CASES = {
    "plain": (GOLDS, PREDICTIONS),
    "ties": (np.round(GOLDS), np.round(PREDICTIONS)),
    "half steps against few levels": (np.round(2 * GOLDS) / 2, np.sign(PREDICTIONS)),
    "a large offset": (GOLDS + 1e9, PREDICTIONS + 1e9),
    "two offsets": (GOLDS - 1e6, PREDICTIONS),
    "tiny": (GOLDS * 1e-160, PREDICTIONS * 1e-170),
    "huge": (GOLDS * 1e37, PREDICTIONS * 1e37),
    "an outlier": (np.append(GOLDS, 1e7), np.append(PREDICTIONS, 3.0)),
    "perfect": (GOLDS, GOLDS),
    "opposite": (GOLDS, -GOLDS),
    "single precision": (GOLDS.astype(np.float32), PREDICTIONS.astype(np.float32)),
    "two examples": (np.array([0.0, 1.0]), np.array([2.0, 5.0])),
}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("case", CASES)
def test_every_metric_is_scipys_or_scikit_learns(name, case):
    golds, predictions = CASES[case]
    wide = [np.asarray(side, np.float64) for side in (golds, predictions)]
    expected = ORACLES[name](*wide)
    found = scores(golds, predictions, resampling=Resampling(resamples=10))[name]
    assert found.value == pytest.approx(expected, rel=1e-9, abs=0 if case == "tiny" else 1e-9)
    assert values(golds, predictions)[name] == pytest.approx(found.value, rel=1e-9)
    assert found.n == len(golds)


@given(
    st.integers(2, 30).flatmap(
        lambda n: arrays(
            np.int64, (2, n), elements=st.one_of(st.integers(-3, 3), st.integers(-(10**6), 10**6))
        )
    ),
    st.sampled_from([0.0, 0.1, 1e6 + 0.1]),
)
@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_parity_with_ties_constants_and_offsets(numbers, offset):
    golds, predictions = numbers / 8 + offset
    found = values(golds, predictions)
    for name, oracle in ORACLES.items():
        expected = oracle(golds, predictions)
        assert found[name] == pytest.approx(0 if np.isnan(expected) else expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e9, 1e-300])
@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_a_constant_has_no_correlation_and_the_method_says_so(constant):
    same = np.full(200, constant)
    found = scores(GOLDS, same)
    assert np.isnan(stats.pearsonr(GOLDS, same).statistic)  # what scipy says
    for name in ("pearson", "spearman"):
        assert (found[name].value, found[name].low, found[name].high) == (0.0, None, None)
        assert found[name].method == (
            "no interval: all predicted values are equal, so the correlation is set to 0"
        )
    assert found["mse"].low is not None
    assert "all reference and all predicted values" in scores(same, same)["pearson"].method
    json.dumps({name: score.to_json() for name, score in found.items()}, allow_nan=False)


def test_what_rounding_leaves_of_a_constant_is_no_correlation():
    """Draws without the one prediction that differs: their variance is 0, and not a rounding error above it."""
    rng = np.random.default_rng(0)
    for n in range(3, 80):
        golds, predictions = rng.random(n), np.append(np.full(n - 1, 0.1), 0.3)
        statistics = regression._statistics(golds, predictions)[rng.integers(0, n - 1, n)]
        assert METRICS["pearson"].score(statistics.sum(0)) == 0


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_examples_have_no_interval(n):
    for score in scores(np.ones(n), np.ones(n)).values():
        assert (score.value, score.low, score.high, score.n) == (0.0, None, None, n)


def test_scores_stand_in_the_order_of_the_metrics_and_say_how():
    found = scores(GOLDS, PREDICTIONS)
    assert list(found) == list(METRICS) == list(ORACLES)
    assert {score.method for score in found.values()} == {"BCa bootstrap, 2000 draws, 95%"}


def test_pearsons_interval_is_scipys_bootstrap():
    ours = scores(GOLDS, PREDICTIONS, resampling=Resampling(resamples=10_000))["pearson"]
    theirs = stats.bootstrap(
        (GOLDS, PREDICTIONS),
        lambda g, p, axis: stats.pearsonr(g, p, axis=axis).statistic,
        paired=True,
        vectorized=True,
        rng=1,
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.005)


def test_numbers_that_are_none_are_bugs():
    with pytest.raises(AssertionError, match="finite"):
        scores(np.array([0.0, 1.0]), np.array([0.0, np.nan]))
    with pytest.raises(AssertionError, match="different lengths"):
        scores(np.array([0.0, 1.0]), np.array([0.0]))


# Two systems


@pytest.mark.parametrize("name", METRICS)
def test_a_difference_is_first_minus_second(name):
    worse = noisy(noise=2.0)[1]
    found = difference(GOLDS, PREDICTIONS, worse, name, resampling=Resampling(resamples=500))
    expected = ORACLES[name](GOLDS, PREDICTIONS) - ORACLES[name](GOLDS, worse)
    assert found.value == pytest.approx(expected, abs=1e-9)
    assert found.low < found.value < found.high
    assert found.p_value < 0.05
    assert (found.metric, found.n) == (name, 200)
    assert " is better than the other by" in describe_difference(found, "the model", "the other")


def test_an_error_is_told_in_its_own_unit_and_a_correlation_in_points():
    worse = noisy(noise=2.0)[1]
    assert "points" not in describe_difference(difference(GOLDS, worse, PREDICTIONS, "mse"), "a", "b")
    assert describe_difference(difference(GOLDS, worse, PREDICTIONS, "mae"), "a", "b").startswith(
        "a is worse than b by 0."
    )
    assert "points of pearson" in describe_difference(
        difference(GOLDS, worse, PREDICTIONS, "pearson"), "a", "b"
    )


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_one_answer_on_two_scales_is_no_difference(name):
    found = difference(GOLDS, PREDICTIONS, 100 * PREDICTIONS + 3, name, resampling=Resampling(resamples=200))
    assert found.value == pytest.approx(0, abs=1e-12)
    assert found.p_value > 0.5


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_swaps_are_uniform_on_different_scales_where_there_is_no_difference(name):
    rng, p_values = np.random.default_rng(0), []
    for trial in range(150):
        golds, *noise = rng.normal(size=(3, 30))
        first, second = golds + noise[0], 50 * (golds + noise[1])
        p_values.append(
            difference(golds, first, second, name, resampling=Resampling(resamples=99, seed=trial)).p_value
        )
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


@pytest.mark.parametrize("name", METRICS)
def test_a_model_is_comparable_with_always_answering_the_mean(name):
    found = difference(
        GOLDS, noisy(noise=0.5)[1], np.full(200, GOLDS.mean()), name, resampling=Resampling(resamples=300)
    )
    assert found.low is not None and found.p_value < 0.01
    assert "is better than" in describe_difference(found, "the model", "the mean")


def test_an_unknown_metric_has_no_difference():
    with pytest.raises(UserError, match=r'E01.*did you mean "pearson"'):
        difference(GOLDS, GOLDS, GOLDS, "pearsn")
