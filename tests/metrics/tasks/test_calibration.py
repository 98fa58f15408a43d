import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.metrics.resampling import Resampling
from llmkit.metrics.tasks.calibration import Bin, apply_temperature, ece, fit_temperature, reliability_curve


def test_ece_by_hand():
    # bins of 0.5: (0.3, 0.5) with accuracy 0.5 and gap 0.1, (0.7, 0.9) with accuracy 1 and gap 0.2
    confidences, correct = np.array([0.3, 0.5, 0.7, 0.9]), np.array([True, False, True, True])
    assert ece(confidences, correct, bins=2).value == pytest.approx(0.15, abs=1e-12)


def test_ece_of_one_bin_is_the_gap_between_the_means():
    confidences, correct = np.array([0.6, 0.7, 0.95]), np.array([True, False, False])
    assert ece(confidences, correct, bins=1).value == pytest.approx(0.75 - 1 / 3, abs=1e-12)


def test_errors_of_opposite_sign_in_different_bins_do_not_cancel():
    confidences, correct = np.array([0.25, 0.75]), np.array([True, False])
    assert ece(confidences, correct, bins=2).value == pytest.approx(0.75, abs=1e-12)


def test_ece_has_a_bootstrap_interval():
    rng = np.random.default_rng(0)
    confidences = rng.uniform(0.5, 1, 500)
    score = ece(confidences, rng.random(500) < confidences - 0.2)
    assert 0.1 < score.low < score.value < score.high < 0.3
    assert score.method == "BCa bootstrap, 2000 draws, 95%"
    assert score.n == 500


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30), st.integers(1, 20))
def test_ece_is_the_weighted_gap_of_the_reliability_curve(examples, bins):
    confidences, correct = np.array([c for c, _ in examples]), np.array([r for _, r in examples])
    curve = reliability_curve(confidences, correct, bins)
    expected = sum(point.count * abs(point.confidence - point.accuracy) for point in curve) / len(examples)
    assert ece(confidences, correct, bins=bins, resampling=Resampling(resamples=2)).value == pytest.approx(
        expected, abs=1e-12
    )
    assert sum(point.count for point in curve) == len(examples)
    assert all(point.low - 1e-12 <= point.confidence <= point.high + 1e-12 for point in curve)


def test_reliability_curve_by_hand():
    confidences, correct = np.array([0.2, 0.5, 0.9, 1.0]), np.array([False, True, True, False])
    assert reliability_curve(confidences, correct, bins=4) == [
        Bin(0.0, 0.25, 0.2, 0.0, 1),
        Bin(0.25, 0.5, 0.5, 1.0, 1),  # an inner edge belongs to the bin below; an empty bin has no point
        Bin(0.75, 1.0, 0.95, 0.5, 2),
    ]


def test_curve_without_examples_is_empty_and_ece_has_no_interval():
    nothing = np.zeros(0)
    assert reliability_curve(nothing, nothing.astype(bool)) == []
    assert ece(nothing, nothing.astype(bool)).method == "no interval: no examples"


def nll(probabilities, references, temperature):
    scaled = apply_temperature(probabilities, temperature)
    return -np.log(scaled[np.arange(len(references)), references]).mean()


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@pytest.mark.parametrize("true", [0.4, 1.0, 2.5])
def test_true_temperature_is_recovered(true):
    rng = np.random.default_rng(0)
    logits = 3 * rng.normal(size=(20_000, 4))
    drawn = rng.random(20_000)[:, None] > softmax(logits / true).cumsum(1)
    result = fit_temperature(softmax(logits), drawn.sum(1))
    assert result == pytest.approx(true, rel=0.04)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(5, 60))
def test_no_other_temperature_has_a_lower_loss(seed, classes, n):
    rng = np.random.default_rng(seed)
    probabilities = softmax(rng.normal(size=(n, classes)) * rng.uniform(0.1, 8))
    references = rng.integers(0, classes, n)
    result = fit_temperature(probabilities, references)
    others = np.geomspace(0.05, 20, 40)
    if result == 1:  # the lower the temperature, the lower the loss
        assert nll(probabilities, references, 0.05) <= min(nll(probabilities, references, t) for t in others)
    else:
        assert (
            nll(probabilities, references, result)
            <= min(nll(probabilities, references, t) for t in others) + 1e-9
        )


def test_temperature_without_any_error_is_1():
    assert fit_temperature(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 1])) == 1
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, int)) == 1


def test_temperature_of_predictions_worse_than_chance_is_the_maximum():
    assert fit_temperature(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([1, 0])) == pytest.approx(20)


def test_temperature_changes_no_prediction_and_1_changes_nothing():
    probabilities = softmax(4 * np.random.default_rng(1).normal(size=(200, 3)))
    for temperature in (0.3, 1.0, 7.0):
        result = apply_temperature(probabilities, temperature)
        assert (result.argmax(1) == probabilities.argmax(1)).all()
        assert result.sum(1) == pytest.approx(np.ones(200))
    assert apply_temperature(probabilities, 1.0) == pytest.approx(probabilities)


def test_probabilities_of_zero_stay_finite():
    result = fit_temperature(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([0, 1, 1]))
    assert 1 < result <= 20
    assert np.isfinite(apply_temperature(np.array([[1.0, 0.0]]), result)).all()


def test_temperature_improves_the_calibration_of_new_examples():
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(4000, 3)) * 1.5
    references = (rng.random(4000)[:, None] > softmax(logits).cumsum(1)).sum(1)
    sure = softmax(3 * logits)
    fitted = fit_temperature(sure[:2000], references[:2000])
    new, right = apply_temperature(sure[2000:], fitted), sure[2000:].argmax(1) == references[2000:]
    before, after = (
        ece(result.max(1), right, resampling=Resampling(resamples=100)).value for result in (sure[2000:], new)
    )
    assert (before > 0.15, after < 0.04) == (True, True)
