"""Single-label classification: accuracy, precision, recall, F1, MCC, and the same class by class.

    scores(golds, predictions, ["negative", "positive"])["f1"]   # macro F1 with a 95% BCa interval

An example's statistics are 3 C numbers: was class c right, gold, predicted. Their sums are all that these
metrics need of the confusion matrix, and grow with C, not with C squared: a hundred classes stay cheap.
Examples enter as their distinct (gold, predicted) cells, so cost hardly depends on n. The intervals' limits:
see `intervals`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from llmkit.errors import Problem, UserError, closest
from llmkit.metrics import paired
from llmkit.metrics.intervals import Sample, measure, percent, wilson_score
from llmkit.metrics.score import Floats, Ints, Metric, Score, ratio

__all__ = ["METRICS", "confusion", "difference", "get", "per_class", "sample", "scores"]


def _right_gold_predicted(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Counts (..., C) of each class: predicted rightly, gold, predicted."""
    right, gold, predicted = np.split(sums, 3, axis=-1)
    return right, gold, predicted


def _class_precision(sums: Floats) -> Floats:
    right, _, predicted = _right_gold_predicted(sums)
    return ratio(right, predicted)


def _class_recall(sums: Floats) -> Floats:
    right, gold, _ = _right_gold_predicted(sums)
    return ratio(right, gold)


def _class_f1(sums: Floats) -> Floats:
    right, gold, predicted = _right_gold_predicted(sums)
    return ratio(2 * right, gold + predicted)


def _macro(name: str, by_class: Callable[[Floats], Floats]) -> Metric:
    """The mean over the classes that occur among the gold or the predicted labels, as scikit-learn takes it.

    A bootstrap draw follows the same rule: a class that it does not hold is not in its mean.
    """

    def score(sums: Floats) -> Floats:
        _, gold, predicted = _right_gold_predicted(sums)
        return ratio(by_class(sums).sum(-1), (gold + predicted > 0).sum(-1))

    return Metric(name, score, note="macro average")


def _accuracy(sums: Floats) -> Floats:
    right, gold, _ = _right_gold_predicted(sums)
    return ratio(right.sum(-1), gold.sum(-1))


def _mcc(sums: Floats) -> Floats:
    """Matthews' correlation for any number of classes, R_K (Gorodkin 2004); 0 if a side has one class."""
    right, gold, predicted = _right_gold_predicted(sums)
    n = gold.sum(-1)
    covariance = right.sum(-1) * n - (gold * predicted).sum(-1)
    variances = (n**2 - (gold**2).sum(-1)) * (n**2 - (predicted**2).sum(-1))
    return ratio(covariance, np.sqrt(variances))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", _accuracy, share=True),
        _macro("f1", _class_f1),
        _macro("precision", _class_precision),
        _macro("recall", _class_recall),
        # One label an example, so an error is one false positive and one false negative: all are accuracy.
        Metric("f1_micro", _accuracy, share=True),
        Metric("precision_micro", _accuracy, share=True),
        Metric("recall_micro", _accuracy, share=True),
        Metric("mcc", _mcc),
    )
}


def get(name: str) -> Metric:
    """The metric of that name. UserError E01 when there is none."""
    if name not in METRICS:
        message = f'unknown metric "{name}"{closest(name, METRICS)}'
        raise UserError(Problem("E01", "", message, f"choose from {', '.join(METRICS)}"))
    return METRICS[name]


def scores(
    golds: Ints,
    predictions: Ints,
    names: Sequence[str],
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Score]:
    """All METRICS by name, from labels (N,) that index the class names."""
    statistics = sample(golds, predictions, len(names))
    return measure(statistics, METRICS.values(), confidence=confidence, resamples=resamples, seed=seed)


def per_class(
    golds: Ints, predictions: Ints, names: Sequence[str], *, confidence: float = 0.95
) -> dict[str, dict[str, Score]]:
    """Precision, recall and F1 of each class; n is what each rests on, so recall's n is the support.

    Precision is a share of the predicted examples and recall of the gold ones: Wilson. F1 = 2 J / (1 + J)
    grows with the share J = right / (gold or predicted), so J's Wilson interval carries over (Lam, Gopal and
    Qian 2023, "Confidence Intervals for the F1 Score", the indirect method). Rare classes get honest, wide
    intervals.
    """
    counts = (
        np.stack(_right_gold_predicted(sample(golds, predictions, len(names)).total), axis=-1)
        .astype(int)
        .tolist()
    )
    return {
        name: {
            "precision": wilson_score(right, predicted, confidence),
            "recall": wilson_score(right, gold, confidence),
            "f1": _f1_score(right, gold, predicted, confidence),
        }
        for name, (right, gold, predicted) in zip(names, counts)
    }


def difference(
    golds: Ints,
    first: Ints,
    second: Ints,
    names: Sequence[str],
    metric: str = "accuracy",
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> paired.Difference:
    """metric(first) - metric(second) for two systems' predictions (N,) on the same examples."""
    pairs = _pairs(golds, first, second, len(names))
    return paired.difference(pairs, get(metric), confidence=confidence, resamples=resamples, seed=seed)


def confusion(golds: Ints, predictions: Ints, num_classes: int) -> Ints:
    """Counts (C, C): gold rows, predicted columns."""
    cells = _cells(num_classes, golds, predictions)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def sample(golds: Ints, predictions: Ints, num_classes: int) -> Sample:
    """Statistics (D, 3 C) of the D distinct (gold, predicted) cells with their counts."""
    cells, counts = np.unique(_cells(num_classes, golds, predictions), return_counts=True)
    gold, predicted = np.divmod(cells, num_classes)
    return Sample(_rows(gold, predicted, num_classes), counts)


def _pairs(golds: Ints, first: Ints, second: Ints, num_classes: int) -> Sample:
    """Statistics (D, 6 C) of the distinct (gold, first, second) cells: the first system's, the second's."""
    cells, counts = np.unique(_cells(num_classes, golds, first, second), return_counts=True)
    rest, b = np.divmod(cells, num_classes)
    gold, a = np.divmod(rest, num_classes)
    return Sample(np.hstack([_rows(gold, a, num_classes), _rows(gold, b, num_classes)]), counts)


def _cells(num_classes: int, *labels: Ints) -> Ints:
    """One number for each example's combination of labels, the first label slowest."""
    columns = [np.asarray(column, dtype=np.int64) for column in labels]
    assert len({column.shape for column in columns}) == 1, "labels of different lengths"
    assert all(((column >= 0) & (column < num_classes)).all() for column in columns), "a label is not a class"
    cells = np.zeros_like(columns[0])
    for column in columns:
        cells = cells * num_classes + column
    return cells


def _rows(gold: Ints, predicted: Ints, num_classes: int) -> Floats:
    one_hot = np.eye(num_classes)
    right = one_hot[gold] * (gold == predicted)[:, None]
    return np.hstack([right, one_hot[gold], one_hot[predicted]])


def _f1_score(right: int, gold: int, predicted: int, confidence: float) -> Score:
    union = gold + predicted - right
    share = wilson_score(right, union, confidence)
    if share.low is None or share.high is None:
        return share
    low, high = (2 * end / (1 + end) for end in (share.low, share.high))
    value = 2 * right / (gold + predicted)
    return Score(
        value, min(low, value), max(high, value), union, f"Wilson {percent(confidence)} of the Jaccard share"
    )
