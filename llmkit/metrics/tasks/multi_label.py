"""Multi-label classification: F1, precision and recall (macro, micro, by example), subset accuracy, Hamming loss.

    thresholds = best_thresholds(golds, probabilities)              # (C,), on validation
    predictions = test_probabilities >= thresholds                  # (N, C)
    scores(test_golds, predictions, probabilities=test_probabilities)["f1"]

golds and predictions are 0 and 1 (N, C). Names and values are scikit-learn's with zero_division=0: macro is the
mean over all labels, so a label that neither side has counts 0. An example's statistics are 3 C + 4 numbers:
was label c right, gold, predicted; all labels right; wrong labels; the example's F1; and 1. PR-AUC (average
precision) comes from the probabilities (see `ranking`), as the mean over the labels with a gold example. The
intervals' limits: see `intervals`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llmkit.metrics import paired
from llmkit.metrics.intervals import measure, precision_recall_f1
from llmkit.metrics.resampling import DEFAULT_RESAMPLING, Resampling
from llmkit.metrics.score import BY_COUNTS, Floats, Ints, Metric, Score, find_metric, ratio
from llmkit.metrics.tasks import ranking

__all__ = ["METRICS", "best_thresholds", "difference", "per_label", "scores", "values"]

Marks = NDArray[np.bool_] | Ints  # 0 or 1, (N, C)

FEW = 5  # gold examples below which a label has no threshold of its own


def _right_gold_predicted(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Counts (..., C) of each label: predicted rightly, gold, predicted."""
    right, gold, predicted = np.split(sums[..., :-4], 3, axis=-1)
    return right, gold, predicted


def _macro(name: str) -> Metric:
    def score(sums: Floats) -> Floats:
        by_label = BY_COUNTS[name](*_right_gold_predicted(sums))
        return ratio(by_label.sum(-1), np.array(by_label.shape[-1]))

    return Metric(name, score, note="macro average over all labels")


def _micro(name: str) -> Metric:
    def score(sums: Floats) -> Floats:
        return BY_COUNTS[name](*(counts.sum(-1) for counts in _right_gold_predicted(sums)))

    return Metric(f"{name}_micro", score, note="micro average")


def _subset_accuracy(sums: Floats) -> Floats:
    return ratio(sums[..., -4], sums[..., -1])


def _hamming_loss(sums: Floats) -> Floats:
    labels = (sums.shape[-1] - 4) // 3
    return ratio(sums[..., -3], sums[..., -1] * labels)


def _f1_samples(sums: Floats) -> Floats:
    return ratio(sums[..., -2], sums[..., -1])


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *(_macro(name) for name in BY_COUNTS),
        *(_micro(name) for name in BY_COUNTS),
        Metric("f1_samples", _f1_samples, note="mean of the examples' own F1"),
        Metric("subset_accuracy", _subset_accuracy, share=True),
        Metric("hamming_loss", _hamming_loss, note="share of wrong labels", higher_is_better=False),
    )
}


def scores(
    golds: Marks,
    predictions: Marks,
    *,
    probabilities: Floats | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> dict[str, Score]:
    """All METRICS by name, and with probabilities (N, C) `pr_auc`, the mean over the labels with a gold example."""
    found = measure(_statistics(golds, predictions), METRICS.values(), resampling=resampling)
    if probabilities is not None:
        found["pr_auc"] = ranking.pr_auc(golds, probabilities, resampling=resampling)
    return found


def values(golds: Marks, predictions: Marks) -> dict[str, float]:
    """All METRICS by name without intervals, as at an evaluation during training."""
    total = _statistics(golds, predictions).sum(axis=0)
    return {name: float(metric.score(total)) for name, metric in METRICS.items()}


def per_label(
    golds: Marks,
    predictions: Marks,
    names: Sequence[str],
    *,
    probabilities: Floats | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> dict[str, dict[str, Score]]:
    """Precision, recall and F1 of each label by `intervals.by_counts`; recall's n is the support.

    With probabilities (N, C) also the label's `pr_auc`, by the bootstrap.
    """
    total = _statistics(golds, predictions).sum(axis=0)
    rows = np.stack(_right_gold_predicted(total), axis=-1).astype(int).tolist()
    found = {
        name: precision_recall_f1(right, gold, predicted, resampling.confidence)
        for name, (right, gold, predicted) in zip(names, rows, strict=True)
    }
    if probabilities is not None:
        for name, gold, probability in zip(names, np.transpose(golds), probabilities.T):
            found[name]["pr_auc"] = ranking.pr_auc(gold, probability, resampling=resampling)
    return found


def difference(
    golds: Marks,
    first: Marks,
    second: Marks,
    metric: str = "f1",
    *,
    probabilities: tuple[Floats, Floats] | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> paired.Difference:
    """metric(first) - metric(second) for two systems' predictions (N, C) on the same examples.

    `pr_auc` compares the two systems' probabilities (N, C). UserError E01 for a metric that there is not.
    """
    if metric == "pr_auc" and probabilities is not None:
        return ranking.pr_auc_difference(golds, *probabilities, resampling=resampling)
    pairs = np.hstack([_statistics(golds, predictions) for predictions in (first, second)])
    return paired.difference(pairs, find_metric(metric, METRICS), resampling=resampling)


def best_thresholds(golds: Marks, probabilities: Floats) -> Floats:
    """For each label the threshold (C,) whose `probability >= threshold` has the highest F1 on these examples.

    A label with fewer than FEW gold examples takes the threshold that is best for all labels together (micro F1): its
    own one would follow single examples, and a low one costs many false positives (Fan and Lin 2007, A study on
    threshold selection for multi-label classification). A threshold lies midway between two neighbouring
    probabilities; of equally good ones it is the closest to 0.5; without any gold example it is 0.5. Take them from
    validation: on the examples they were chosen on, F1 flatters.
    """
    marks, numbers = _marks(golds), np.asarray(probabilities, dtype=np.float64)
    assert marks.shape == numbers.shape, "golds and probabilities of different shapes"
    own = [_best_threshold(gold, probability) for gold, probability in zip(marks.T, numbers.T)]
    return np.where(marks.sum(0) >= FEW, own, _best_threshold(marks.ravel(), numbers.ravel()))


def _best_threshold(gold: Floats, probability: Floats) -> float:
    order = np.argsort(-probability, kind="stable")
    ordered, positives = probability[order], gold.sum()
    if not positives:
        return 0.5
    last = np.flatnonzero(np.diff(ordered, append=-np.inf))  # of each run of equal probabilities
    right, predicted = gold[order].cumsum()[last], last + 1
    f1 = ratio(2 * right, predicted + positives)
    above, below = ordered[last], np.append(ordered[last[:-1] + 1], 0.0)
    middle = (above + below) / 2
    thresholds = np.where(middle > below, middle, above)  # neighbours without a number between them
    best = np.flatnonzero(f1 >= f1.max() * (1 - 1e-12))
    return float(thresholds[best[np.argmin(np.abs(thresholds[best] - 0.5))]])


def _statistics(golds: Marks, predictions: Marks) -> Floats:
    """(N, 3 C + 4): right, gold, predicted of each label; all labels right; wrong labels; own F1; 1."""
    gold, predicted = _marks(golds), _marks(predictions)
    assert gold.shape == predicted.shape, "golds and predictions of different shapes"
    right, wrong = gold * predicted, np.abs(gold - predicted).sum(axis=1)
    own = BY_COUNTS["f1"](right.sum(axis=1), gold.sum(axis=1), predicted.sum(axis=1))
    return np.column_stack([right, gold, predicted, wrong == 0, wrong, own, np.ones(len(gold))])


def _marks(labels: Marks) -> Floats:
    marks = np.asarray(labels, dtype=np.float64)
    assert marks.ndim == 2 and np.isin(marks, (0, 1)).all(), "labels are 0 or 1, (N, C)"
    return marks
