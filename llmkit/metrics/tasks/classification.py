"""Single-label classification: accuracy, precision, recall, F1, MCC, and the same class by class.

    scores(golds, predictions, ["negative", "positive"])["f1"]   # macro F1 with a 95% BCa interval

An example's statistics are 3 C + 1 numbers: was class c right, gold, predicted, and how far apart the numbers
of the two classes are. Their sums are all that these metrics need of the confusion matrix, and grow with C, not
with C squared: a hundred classes stay cheap. Examples enter as their distinct (gold, predicted) cells, so cost
hardly depends on n. The intervals' limits: see `intervals`.

With class probabilities there is PR-AUC (average precision, see `ranking`) too: of all scores here the one to
read where a class is rare, beside that class's F1 in `per_class`. Its time goes with n and C: 2000 draws of 1,000
examples and 10 classes take 0.4 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from llmkit.metrics import paired
from llmkit.metrics.intervals import Sample, measure, precision_recall_f1
from llmkit.metrics.resampling import DEFAULT_RESAMPLING, Resampling
from llmkit.metrics.score import BY_COUNTS, Floats, Ints, Metric, Score, find_metric, ratio
from llmkit.metrics.tasks import ranking

__all__ = [
    "METRICS",
    "ORDINAL",
    "confusion_matrix",
    "count_cells",
    "difference",
    "get_metric",
    "per_class",
    "scores",
]


def _right_gold_predicted(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Counts (..., C) of each class: predicted rightly, gold, predicted."""
    right, gold, predicted = np.split(sums[..., :-1], 3, axis=-1)
    return right, gold, predicted


def _macro(name: str) -> Metric:
    """The mean over the classes that occur among the gold or the predicted labels, as scikit-learn takes it.

    A bootstrap draw follows the same rule: a class that it does not hold is not in its mean.
    """

    def score(sums: Floats) -> Floats:
        right, gold, predicted = _right_gold_predicted(sums)
        by_class = BY_COUNTS[name](right, gold, predicted)
        return ratio(by_class.sum(-1), (gold + predicted > 0).sum(-1))

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


def _mae(sums: Floats) -> Floats:
    _, gold, _ = _right_gold_predicted(sums)
    return ratio(sums[..., -1], gold.sum(-1))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", _accuracy, share=True),
        _macro("f1"),
        _macro("precision"),
        _macro("recall"),
        # One label an example, so an error is one false positive and one false negative: all are accuracy.
        Metric("f1_micro", _accuracy, share=True),
        Metric("precision_micro", _accuracy, share=True),
        Metric("recall_micro", _accuracy, share=True),
        Metric("mcc", _mcc),
    )
}

# For classes whose numbers are grades, such as 0 to 4 stars: how many grades off on average.
ORDINAL: dict[str, Metric] = {
    **METRICS,
    "mae": Metric("mae", _mae, note="distance of class numbers", higher_is_better=False, point=None),
}


def get_metric(name: str, *, ordered: bool = False) -> Metric:
    """The metric of that name. UserError E01 when there is none."""
    return find_metric(name, ORDINAL if ordered else METRICS)


def scores(
    golds: Ints,
    predictions: Ints,
    names: Sequence[str],
    *,
    ordered: bool = False,
    probabilities: Floats | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> dict[str, Score]:
    """All METRICS by name, from labels (N,) that index the class names.

    ordered: the names stand in their order, so `mae` has a meaning (ORDINAL). With probabilities (N, C) also
    `pr_auc`, the mean over the gold classes.
    """
    statistics, metrics = count_cells(golds, predictions, len(names)), ORDINAL if ordered else METRICS
    found = measure(statistics, metrics.values(), resampling=resampling)
    if probabilities is not None:
        found["pr_auc"] = ranking.pr_auc(
            _one_hot(golds, len(names)),
            probabilities,
            resampling=resampling,
        )
    return found


def per_class(
    golds: Ints,
    predictions: Ints,
    names: Sequence[str],
    *,
    probabilities: Floats | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> dict[str, dict[str, Score]]:
    """Precision, recall and F1 of each class by `intervals.by_counts`; recall's n is the support.

    With probabilities (N, C) also `pr_auc` of the class against the rest, by the bootstrap.
    """
    counts = _right_gold_predicted(count_cells(golds, predictions, len(names)).total)
    rows = np.stack(counts, axis=-1).astype(int).tolist()
    found = {
        name: precision_recall_f1(right, gold, predicted, resampling.confidence)
        for name, (right, gold, predicted) in zip(names, rows)
    }
    if probabilities is not None:
        for number, name in enumerate(names):
            found[name]["pr_auc"] = ranking.pr_auc(
                np.asarray(golds) == number,
                probabilities[:, number],
                resampling=resampling,
            )
    return found


def difference(
    golds: Ints,
    first: Ints,
    second: Ints,
    names: Sequence[str],
    metric: str = "accuracy",
    *,
    of: str | None = None,
    ordered: bool = False,
    probabilities: tuple[Floats, Floats] | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> paired.Difference:
    """metric(first) - metric(second) for two systems' predictions (N,) on the same examples.

    of: the precision, recall, F1 or PR-AUC of that class alone, as for a rare one. `pr_auc` compares the two
    systems' probabilities (N, C). UserError E01 for a metric that there is not.
    """
    number = None if of is None else list(names).index(of)
    if metric == "pr_auc" and probabilities is not None:
        columns = (_one_hot(golds, len(names)), *probabilities)
        gold, one, other = columns if number is None else (column[:, number] for column in columns)
        found = ranking.pr_auc_difference(gold, one, other, resampling=resampling)
        return found if of is None else replace(found, metric=f"pr_auc of {of}")
    pairs = _pairs(golds, first, second, len(names))
    chosen = get_metric(metric, ordered=ordered) if number is None else _of_class(metric, number, names)
    return paired.difference(pairs, chosen, resampling=resampling)


def confusion_matrix(golds: Ints, predictions: Ints, num_classes: int) -> Ints:
    """Counts (C, C): gold rows, predicted columns."""
    cells = _cells(num_classes, golds, predictions)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def count_cells(golds: Ints, predictions: Ints, num_classes: int) -> Sample:
    """Statistics (D, 3 C + 1) of the D distinct (gold, predicted) cells with their counts."""
    cells, counts = np.unique(_cells(num_classes, golds, predictions), return_counts=True)
    gold, predicted = np.divmod(cells, num_classes)
    return Sample(_rows(gold, predicted, num_classes), counts)


def _of_class(name: str, number: int, names: Sequence[str]) -> Metric:
    """Precision, recall or F1 of one class."""

    def made(name: str) -> Metric:
        def score(sums: Floats) -> Floats:
            return BY_COUNTS[name](*(counts[..., number] for counts in _right_gold_predicted(sums)))

        return Metric(f"{name} of {names[number]}", score)

    return find_metric(name, {name: made(name) for name in BY_COUNTS})


def _pairs(golds: Ints, first: Ints, second: Ints, num_classes: int) -> Sample:
    """Statistics (D, 6 C + 2) of the distinct (gold, first, second) cells: the first system's, the second's."""
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
    golds, predictions = _one_hot(gold, num_classes), _one_hot(predicted, num_classes)
    return np.hstack([golds * predictions, golds, predictions, np.abs(gold - predicted)[:, None]])


def _one_hot(labels: Ints, num_classes: int) -> Floats:
    return np.eye(num_classes)[labels]
