"""Does a probability of 0.8 mean right four times in five? ECE and the reliability curve.

    ece(probabilities.max(1), probabilities.argmax(1) == golds)

Bins have equal width and are closed on the right, as in Guo et al. (2017), "On Calibration of Modern Neural
Networks". Trade-off: ECE depends on the number of bins and is never negative, so noise alone lifts it (to
about 0.03 for a perfect model on 1,000 examples). Its interval inherits that: a low end above 0 does not
prove miscalibration, and where the true gap was 0.1 on 300 to 1,000 examples, 87 to 90% of the 95% intervals
held it. The Brier score (a mean over examples, see tasks/classification.py) has no such flaw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmkit.metrics.intervals import interval
from llmkit.metrics.score import Floats, Ints, Score, ratio

__all__ = ["Bin", "ece", "reliability"]


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
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Score:
    """Expected calibration error: the gap between confidence and accuracy, averaged over the examples' bins.

    confidences (N,): probability of the predicted class; correct (N,): was it right.
    """
    gaps = np.asarray(confidences, dtype=np.float64) - correct
    in_bin = np.eye(bins)[_bin_of(confidences, bins)]  # (N, bins)
    statistics = np.hstack([in_bin * gaps[:, None], np.ones((len(gaps), 1))])

    def score(sums: Floats) -> Floats:
        return ratio(np.abs(sums[..., :-1]).sum(-1), sums[..., -1])

    return interval(statistics, score, confidence=confidence, resamples=resamples, seed=seed)


def reliability(confidences: Floats, correct: NDArray[np.bool_], bins: int = 15) -> list[Bin]:
    """The points of the reliability curve, from low confidence to high; empty bins have no point."""
    index, edges = _bin_of(confidences, bins), np.linspace(0, 1, bins + 1)
    counts = np.bincount(index, minlength=bins)
    confident = ratio(np.bincount(index, weights=confidences, minlength=bins), counts)
    right = ratio(np.bincount(index, weights=correct, minlength=bins), counts)
    return [
        Bin(float(edges[b]), float(edges[b + 1]), float(confident[b]), float(right[b]), int(counts[b]))
        for b in np.flatnonzero(counts)
    ]


def _bin_of(confidences: Floats, bins: int) -> Ints:
    """The bin of each confidence in [0, 1]; an inner edge belongs to the bin below it."""
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidences, side="left")
