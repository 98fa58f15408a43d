import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.metrics.calibration import Bin, ece, reliability


def test_ece_by_hand():
    # bins of 0.5: (0.3, 0.5) with accuracy 0.5 and gap 0.1, (0.7, 0.9) with accuracy 1 and gap 0.2
    confidences, correct = np.array([0.3, 0.5, 0.7, 0.9]), np.array([True, False, True, True])
    assert ece(confidences, correct, bins=2).value == pytest.approx(0.15, abs=1e-12)


def test_one_bin_leaves_the_gap_of_the_means():
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
    curve = reliability(confidences, correct, bins)
    expected = sum(point.count * abs(point.confidence - point.accuracy) for point in curve) / len(examples)
    assert ece(confidences, correct, bins=bins, resamples=2).value == pytest.approx(expected, abs=1e-12)
    assert sum(point.count for point in curve) == len(examples)
    assert all(point.low - 1e-12 <= point.confidence <= point.high + 1e-12 for point in curve)


def test_reliability_by_hand():
    confidences, correct = np.array([0.2, 0.5, 0.9, 1.0]), np.array([False, True, True, False])
    assert reliability(confidences, correct, bins=4) == [
        Bin(0.0, 0.25, 0.2, 0.0, 1),
        Bin(0.25, 0.5, 0.5, 1.0, 1),  # an inner edge belongs to the bin below; the empty bin has no point
        Bin(0.75, 1.0, 0.95, 0.5, 2),
    ]


def test_nothing_is_calibrated_without_examples():
    nothing = np.zeros(0)
    assert reliability(nothing, nothing.astype(bool)) == []
    assert ece(nothing, nothing.astype(bool)).method == "no interval: no examples"
