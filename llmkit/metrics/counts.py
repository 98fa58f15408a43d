"""Precision, recall and F1 from counts per class: correctly predicted, in the reference, and predicted.

    micro = micro_average("f1", split_counts)         # a `Metric` of the counts of all classes together
    precision_recall_f1(correct=30, reference=40, predicted=50)["f1"]      # one class, with a closed-form interval

`split_counts` takes summed statistics (..., K) apart into three arrays of counts (..., C).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from llmkit.metrics.intervals import format_percent, wilson_score
from llmkit.metrics.score import Floats, Metric, Score, ratio

__all__ = [
    "BY_COUNTS",
    "SplitCounts",
    "f1_from_jaccard",
    "macro_average",
    "micro_average",
    "precision_recall_f1",
]

SplitCounts = Callable[[Floats], tuple[Floats, Floats, Floats]]
Classes = Literal["occurring", "in_reference", "all"]

# Scores of counts (...): correctly predicted, in the reference, predicted.
BY_COUNTS: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "f1": lambda correct, reference, predicted: ratio(2 * correct, reference + predicted),
    "precision": lambda correct, _reference, predicted: ratio(correct, predicted),
    "recall": lambda correct, reference, _predicted: ratio(correct, reference),
}


def micro_average(key: str, split_counts: SplitCounts, *, name: str = "", note: str = "") -> Metric:
    """Make the metric of the counts of all classes together.

    Args:
        key: f1, precision or recall.
        split_counts: Takes summed statistics apart into counts (..., C).
        name: Name of the metric; the key by default.
        note: See `Metric`.
    """

    def score(sums: Floats) -> Floats:
        return BY_COUNTS[key](*(counts.sum(-1) for counts in split_counts(sums)))

    return Metric(name or key, score, note=note)


def macro_average(
    key: str, split_counts: SplitCounts, *, over: Classes, name: str = "", note: str = ""
) -> Metric:
    """Make the metric that is the mean over classes.

    The same rule holds for a bootstrap resample: a class that is not counted in it is not in its mean.

    Args:
        key: f1, precision or recall.
        split_counts: Takes summed statistics apart into counts (..., C).
        over: The classes in the mean: those that occur among references or predictions (as in scikit-learn), those
            that occur among references, or all.
        name: Name of the metric; the key by default.
        note: See `Metric`.
    """

    def score(sums: Floats) -> Floats:
        correct, reference, predicted = split_counts(sums)
        by_class = BY_COUNTS[key](correct, reference, predicted)
        if over == "all":
            return ratio(by_class.sum(-1), np.array(by_class.shape[-1]))
        counted = reference + predicted > 0 if over == "occurring" else reference > 0
        return ratio(by_class.sum(-1), counted.sum(-1))

    return Metric(name or key, score, note=note)


def precision_recall_f1(
    correct: int, reference: int, predicted: int, confidence: float = 0.95
) -> dict[str, Score]:
    """Compute precision, recall and F1 of one class, with closed-form intervals.

    Precision is a proportion of the predicted examples and recall one of the reference examples: Wilson. The interval
    of F1 is that of the Jaccard index (see `f1_from_jaccard`). Rare classes get wide intervals, which reflect how
    little is known about them.

    Args:
        correct: Number of examples of the class that were predicted as such.
        reference: Number of examples of the class.
        predicted: Number of examples predicted as the class.
        confidence: Coverage of the intervals.

    Returns:
        Scores by name; `Score.n` is the denominator of each, so n of the recall is the support.
    """
    jaccard = wilson_score(correct, reference + predicted - correct, confidence)
    value = 2 * correct / (reference + predicted) if reference + predicted else 0.0
    method = f"Wilson {format_percent(confidence)} of the Jaccard share"
    return {
        "precision": wilson_score(correct, predicted, confidence),
        "recall": wilson_score(correct, reference, confidence),
        "f1": f1_from_jaccard(jaccard, value, method),
    }


def f1_from_jaccard(jaccard: Score, value: float, method: str) -> Score:
    """Make the score F1 = 2 J / (1 + J) with the interval of the Jaccard index J = correct / (reference or predicted).

    F1 grows with J, so the interval carries over (the indirect method).

    Args:
        jaccard: The Jaccard index; returned unchanged if it has no interval.
        value: F1 itself.
        method: Method string of the score.

    Source: Lam, Gopal and Qian (2023), Confidence Intervals for the F1 Score.
    """
    if jaccard.low is None or jaccard.high is None:
        return jaccard
    low, high = (2 * end / (1 + end) for end in (jaccard.low, jaccard.high))
    return Score(value, min(low, value), max(high, value), jaccard.n, method)
