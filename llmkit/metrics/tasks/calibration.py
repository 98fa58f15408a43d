"""Calibration: is a prediction with probability 0.8 correct four times in five? ECE, reliability curve, temperature.

    ece(probabilities.max(1), probabilities.argmax(1) == labels)
    temperature = fit_temperature(validation_probabilities, validation_labels)
    ece(apply_temperature(probabilities, temperature).max(1), ...)

Bins have equal width and are closed on the right. ECE depends on the number of bins and is never negative, so noise
alone raises it (to about 0.03 for a perfectly calibrated model on 1,000 examples). Its interval inherits that: a low
end above 0 does not prove miscalibration, and where the true gap was 0.1 on 300 to 1,000 examples, 87 to 90% of the
95% intervals contained it. The Brier score (a mean over examples) has no such bias.

A temperature divides all logits by one number, fitted on data that the model was not trained on. It makes all
predictions more or less confident together and changes none of them.

Source: Guo et al. (2017), On Calibration of Modern Neural Networks; the temperature is in section 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmkit.metrics.intervals import bootstrap
from llmkit.metrics.resampling import DEFAULT_RESAMPLING, Resampling
from llmkit.metrics.score import Floats, Ints, Score, ratio

__all__ = ["Bin", "apply_temperature", "ece", "fit_temperature", "reliability_curve"]

COLDEST, HOTTEST = 0.05, 20.0
HALVINGS = 50  # of the range of temperatures, on a log scale: what is left is below a rounding step
TINY = 1e-38  # replaces a probability of 0 in single precision


@dataclass(frozen=True)
class Bin:
    """The `count` examples with low < confidence <= high: their mean confidence and their accuracy."""

    low: float
    high: float
    confidence: float
    accuracy: float
    count: int


def ece(
    confidences: Floats,
    correct: NDArray[np.bool_],
    *,
    bins: int = 15,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> Score:
    """Compute the expected calibration error: the mean gap between confidence and accuracy of an example's bin.

    Args:
        confidences: Probability of the predicted class, (N,).
        correct: Whether the prediction is correct, (N,).
        bins: Number of bins of equal width.
        resampling: Confidence, number of resamples and seed of the interval.
    """
    gaps = np.asarray(confidences, dtype=np.float64) - correct
    in_bin = np.eye(bins)[_bin_index(confidences, bins)]  # (N, bins)
    statistics = np.hstack([in_bin * gaps[:, None], np.ones((len(gaps), 1))])

    def score(sums: Floats) -> Floats:
        return ratio(np.abs(sums[..., :-1]).sum(-1), sums[..., -1])

    return bootstrap(statistics, score, resampling=resampling)


def reliability_curve(confidences: Floats, correct: NDArray[np.bool_], bins: int = 15) -> list[Bin]:
    """Return the points of the reliability curve, from low to high confidence; empty bins have no point.

    Args:
        confidences: Probability of the predicted class, (N,).
        correct: Whether the prediction is correct, (N,).
        bins: Number of bins of equal width.
    """
    index, edges = _bin_index(confidences, bins), np.linspace(0, 1, bins + 1)
    counts = np.bincount(index, minlength=bins)
    confidence = ratio(np.bincount(index, weights=confidences, minlength=bins), counts)
    accuracy = ratio(np.bincount(index, weights=correct, minlength=bins), counts)
    return [
        Bin(float(edges[b]), float(edges[b + 1]), float(confidence[b]), float(accuracy[b]), int(counts[b]))
        for b in np.flatnonzero(counts)
    ]


def fit_temperature(probabilities: Floats, labels: Ints) -> float:
    """Find the temperature that minimizes the mean -log p(label).

    The loss is convex in 1 / temperature, so its slope is bisected between 0.05 and 20; if the minimum lies beyond, 20
    is returned. If the loss falls towards 0 for ever smaller temperatures (each label is the likeliest class, or there
    are no examples), nothing can be learned and 1 is returned.

    Args:
        probabilities: Class probabilities, (N, C).
        labels: Correct class of each example, (N,).
    """
    logits_NC = _log(probabilities)
    label_logits_N = np.take_along_axis(logits_NC, np.asarray(labels, np.int64)[:, None], axis=1)[:, 0]

    def slope(temperature: float) -> float:
        """Slope of the summed loss by 1 / temperature: expected logit minus the label's logit."""
        return float(((_softmax(logits_NC / temperature) * logits_NC).sum(axis=1) - label_logits_N).sum())

    if slope(COLDEST) <= 0:
        return 1.0
    cold, hot = COLDEST, HOTTEST
    for _ in range(HALVINGS):
        middle = (cold * hot) ** 0.5
        cold, hot = (middle, hot) if slope(middle) > 0 else (cold, middle)
    return hot


def apply_temperature(probabilities: Floats, temperature: float) -> Floats:
    """Divide the logits behind the probabilities (N, C) by the temperature and return the new probabilities."""
    return _softmax(_log(probabilities) / temperature)


def _log(probabilities: Floats) -> Floats:
    """Return logits, up to a constant per example that does not matter here."""
    return np.log(np.maximum(np.asarray(probabilities, np.float64), TINY))


def _softmax(logits_NC: Floats) -> Floats:
    powers: Floats = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
    return ratio(powers, powers.sum(axis=1, keepdims=True))


def _bin_index(confidences: Floats, bins: int) -> Ints:
    """Return the bin of each confidence in [0, 1]; an inner edge belongs to the bin below it."""
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidences, side="left")
