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
    references = rng.normal(2.5, 1.2, n)
    return references, references + rng.normal(0, noise, n)


REFERENCES, PREDICTIONS = noisy()
CASES = {
    "plain": (REFERENCES, PREDICTIONS),
    "ties": (np.round(REFERENCES), np.round(PREDICTIONS)),
    "half steps against few levels": (np.round(2 * REFERENCES) / 2, np.sign(PREDICTIONS)),
    "a large offset": (REFERENCES + 1e9, PREDICTIONS + 1e9),
    "two offsets": (REFERENCES - 1e6, PREDICTIONS),
    "tiny": (REFERENCES * 1e-160, PREDICTIONS * 1e-170),
    "huge": (REFERENCES * 1e37, PREDICTIONS * 1e37),
    "an outlier": (np.append(REFERENCES, 1e7), np.append(PREDICTIONS, 3.0)),
    "perfect": (REFERENCES, REFERENCES),
    "opposite": (REFERENCES, -REFERENCES),
    "single precision": (REFERENCES.astype(np.float32), PREDICTIONS.astype(np.float32)),
    "two examples": (np.array([0.0, 1.0]), np.array([2.0, 5.0])),
}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("case", CASES)
def test_every_metric_equals_scipy_or_scikit_learn(name, case):
    references, predictions = CASES[case]
    wide = [np.asarray(side, np.float64) for side in (references, predictions)]
    expected = ORACLES[name](*wide)
    result = scores(references, predictions, resampling=Resampling(resamples=10))[name]
    assert result.value == pytest.approx(expected, rel=1e-9, abs=0 if case == "tiny" else 1e-9)
    assert values(references, predictions)[name] == pytest.approx(result.value, rel=1e-9)
    assert result.n == len(references)


@given(
    st.integers(2, 30).flatmap(
        lambda n: arrays(
            np.int64, (2, n), elements=st.one_of(st.integers(-3, 3), st.integers(-(10**6), 10**6))
        )
    ),
    st.sampled_from([0.0, 0.1, 1e6 + 0.1]),
)
@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_values_with_ties_constants_and_offsets_equal_scipy(numbers, offset):
    references, predictions = numbers / 8 + offset
    result = values(references, predictions)
    for name, oracle in ORACLES.items():
        expected = oracle(references, predictions)
        assert result[name] == pytest.approx(0 if np.isnan(expected) else expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e9, 1e-300])
@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_correlation_with_a_constant_is_0_and_the_method_says_so(constant):
    same = np.full(200, constant)
    result = scores(REFERENCES, same)
    assert np.isnan(stats.pearsonr(REFERENCES, same).statistic)  # as in scipy
    for name in ("pearson", "spearman"):
        assert (result[name].value, result[name].low, result[name].high) == (0.0, None, None)
        assert result[name].method == (
            "no interval: all predicted values are equal, so the correlation is set to 0"
        )
    assert result["mse"].low is not None
    assert "all reference and all predicted values" in scores(same, same)["pearson"].method
    json.dumps({name: score.to_json() for name, score in result.items()}, allow_nan=False)


def test_rounding_errors_of_a_constant_are_no_correlation():
    """Resamples without the one prediction that differs have variance 0, not a rounding error above 0."""
    rng = np.random.default_rng(0)
    for n in range(3, 80):
        references, predictions = rng.random(n), np.append(np.full(n - 1, 0.1), 0.3)
        statistics = regression._statistics(references, predictions)[rng.integers(0, n - 1, n)]
        assert METRICS["pearson"].score(statistics.sum(0)) == 0


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_examples_have_no_interval(n):
    for score in scores(np.ones(n), np.ones(n)).values():
        assert (score.value, score.low, score.high, score.n) == (0.0, None, None, n)


def test_scores_are_in_the_order_of_the_metrics_with_their_methods():
    result = scores(REFERENCES, PREDICTIONS)
    assert list(result) == list(METRICS) == list(ORACLES)
    assert {score.method for score in result.values()} == {"BCa bootstrap, 2000 draws, 95%"}


def test_interval_of_pearson_equals_scipy_bootstrap():
    ours = scores(REFERENCES, PREDICTIONS, resampling=Resampling(resamples=10_000))["pearson"]
    theirs = stats.bootstrap(
        (REFERENCES, PREDICTIONS),
        lambda g, p, axis: stats.pearsonr(g, p, axis=axis).statistic,
        paired=True,
        vectorized=True,
        rng=1,
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.005)


def test_values_that_are_not_finite_numbers_fail_an_assertion():
    with pytest.raises(AssertionError, match="finite"):
        scores(np.array([0.0, 1.0]), np.array([0.0, np.nan]))
    with pytest.raises(AssertionError, match="different lengths"):
        scores(np.array([0.0, 1.0]), np.array([0.0]))


# Two systems


@pytest.mark.parametrize("name", METRICS)
def test_difference_is_first_minus_second(name):
    worse = noisy(noise=2.0)[1]
    result = difference(REFERENCES, PREDICTIONS, worse, name, resampling=Resampling(resamples=500))
    expected = ORACLES[name](REFERENCES, PREDICTIONS) - ORACLES[name](REFERENCES, worse)
    assert result.value == pytest.approx(expected, abs=1e-9)
    assert result.low < result.value < result.high
    assert result.p_value < 0.05
    assert (result.metric, result.n) == (name, 200)
    assert " is better than the other by" in describe_difference(result, "the model", "the other")


def test_errors_are_described_in_their_unit_and_correlations_in_points():
    worse = noisy(noise=2.0)[1]
    assert "points" not in describe_difference(difference(REFERENCES, worse, PREDICTIONS, "mse"), "a", "b")
    assert describe_difference(difference(REFERENCES, worse, PREDICTIONS, "mae"), "a", "b").startswith(
        "a is worse than b by 0."
    )
    assert "points of pearson" in describe_difference(
        difference(REFERENCES, worse, PREDICTIONS, "pearson"), "a", "b"
    )


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_rescaled_predictions_have_no_difference_in_correlation(name):
    result = difference(
        REFERENCES, PREDICTIONS, 100 * PREDICTIONS + 3, name, resampling=Resampling(resamples=200)
    )
    assert result.value == pytest.approx(0, abs=1e-12)
    assert result.p_value > 0.5


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_p_values_are_uniform_without_a_difference_on_different_scales(name):
    rng, p_values = np.random.default_rng(0), []
    for trial in range(150):
        references, *noise = rng.normal(size=(3, 30))
        first, second = references + noise[0], 50 * (references + noise[1])
        p_values.append(
            difference(
                references, first, second, name, resampling=Resampling(resamples=99, seed=trial)
            ).p_value
        )
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


@pytest.mark.parametrize("name", METRICS)
def test_model_can_be_compared_with_a_constant_baseline(name):
    result = difference(
        REFERENCES,
        noisy(noise=0.5)[1],
        np.full(200, REFERENCES.mean()),
        name,
        resampling=Resampling(resamples=300),
    )
    assert result.low is not None and result.p_value < 0.01
    assert "is better than" in describe_difference(result, "the model", "the mean")


def test_difference_of_an_unknown_metric_is_an_error():
    with pytest.raises(UserError, match=r'E01.*did you mean "pearson"'):
        difference(REFERENCES, REFERENCES, REFERENCES, "pearsn")
