"""Does a probability of 0.8 mean right four times in five? ECE, the reliability curve, and a temperature to mend it.

    ece(probabilities.max(1), probabilities.argmax(1) == golds)
    ece(tempered(probabilities, fit_temperature(validation_probabilities, validation_golds)).max(1), ...)

Bins have equal width and are closed on the right, as in Guo et al. (2017), "On Calibration of Modern Neural
Networks". Trade-off: ECE depends on the number of bins and is never negative, so noise alone lifts it (to
about 0.03 for a perfect model on 1,000 examples). Its interval inherits that: a low end above 0 does not
prove miscalibration, and where the true gap was 0.1 on 300 to 1,000 examples, 87 to 90% of the 95% intervals
held it. The Brier score (a mean over examples, see tasks/classification.py) has no such flaw.

A temperature (Guo et al. 2017, section 4.2) divides all logits by one number, fitted on rows that the model did not
learn from. It makes all answers more or less sure together and changes none of them.
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
HALVINGS = 50  # of the range of temperatures, on a log scale: the rest is below a rounding step
TINY = 1e-38  # stands for a probability of 0 in single precision


@dataclass(frozen=True)
class Bin:
    """The `count` examples with low < confidence <= high: mean confidence, and the share that is right."""

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
    """Expected calibration error: the gap between confidence and accuracy, averaged over the examples' bins.

    confidences (N,): probability of the predicted class; correct (N,): was it right.
    """
    gaps = np.asarray(confidences, dtype=np.float64) - correct
    in_bin = np.eye(bins)[_bin_of(confidences, bins)]  # (N, bins)
    statistics = np.hstack([in_bin * gaps[:, None], np.ones((len(gaps), 1))])

    def score(sums: Floats) -> Floats:
        return ratio(np.abs(sums[..., :-1]).sum(-1), sums[..., -1])

    return bootstrap(statistics, score, resampling=resampling)


def reliability_curve(confidences: Floats, correct: NDArray[np.bool_], bins: int = 15) -> list[Bin]:
    """The points of the reliability curve, from low confidence to high; empty bins have no point."""
    index, edges = _bin_of(confidences, bins), np.linspace(0, 1, bins + 1)
    counts = np.bincount(index, minlength=bins)
    confident = ratio(np.bincount(index, weights=confidences, minlength=bins), counts)
    right = ratio(np.bincount(index, weights=correct, minlength=bins), counts)
    return [
        Bin(float(edges[b]), float(edges[b + 1]), float(confident[b]), float(right[b]), int(counts[b]))
        for b in np.flatnonzero(counts)
    ]


def fit_temperature(probabilities: Floats, golds: Ints) -> float:
    """The temperature with the least mean -log p(gold), from probabilities (N, C) and gold classes (N,).

    The loss is convex in 1 / temperature, so its slope is halved in on, from 0.05 to 20; a slope that never turns
    ends at 20. Where it falls for good towards colder (each gold class is the likeliest, or there are no examples)
    there is nothing to learn a temperature from: 1.
    """
    logits_NC = _log(probabilities)
    gold_N = np.take_along_axis(logits_NC, np.asarray(golds, np.int64)[:, None], axis=1)[:, 0]

    def slope(temperature: float) -> float:
        """Of the summed loss by 1 / temperature: expected logit less the gold one's."""
        return float(((_softmax(logits_NC / temperature) * logits_NC).sum(axis=1) - gold_N).sum())

    if slope(COLDEST) <= 0:
        return 1.0
    cold, hot = COLDEST, HOTTEST
    for _ in range(HALVINGS):
        middle = (cold * hot) ** 0.5
        cold, hot = (middle, hot) if slope(middle) > 0 else (cold, middle)
    return hot


def apply_temperature(probabilities: Floats, temperature: float) -> Floats:
    """The probabilities (N, C) that the logits divided by the temperature give."""
    return _softmax(_log(probabilities) / temperature)


def _log(probabilities: Floats) -> Floats:
    """Logits up to a constant of each example, which changes nothing here."""
    return np.log(np.maximum(np.asarray(probabilities, np.float64), TINY))


def _softmax(logits_NC: Floats) -> Floats:
    powers: Floats = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
    return ratio(powers, powers.sum(axis=1, keepdims=True))


def _bin_of(confidences: Floats, bins: int) -> Ints:
    """The bin of each confidence in [0, 1]; an inner edge belongs to the bin below it."""
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidences, side="left")
