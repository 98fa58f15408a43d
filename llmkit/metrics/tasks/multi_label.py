"""Multi-label classification: F1, precision and recall (macro, micro, per example), subset accuracy, Hamming loss.

    thresholds = best_thresholds(references, probabilities)         # (C,), on the validation set
    predictions = test_probabilities >= thresholds                  # (N, C)
    scores(test_references, predictions, probabilities=test_probabilities)["f1"]

References and predictions are 0 or 1, (N, C). Names and values are those of scikit-learn with zero_division=0: macro
is the mean over all labels, so a label without reference and prediction counts as 0. The statistics of an example are
3 C + 4 numbers: for each label whether it is correctly predicted, in the reference, and predicted; whether all labels
are correct; the number of wrong labels; the example's F1; and 1. PR-AUC (average precision) comes from the
probabilities (see `ranking`), as the mean over the labels that have an example. The limits of the intervals are
described in `intervals`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llmkit.metrics import paired
from llmkit.metrics.counts import BY_COUNTS, macro_average, micro_average, precision_recall_f1
from llmkit.metrics.intervals import measure
from llmkit.metrics.resampling import DEFAULT_RESAMPLING, Resampling
from llmkit.metrics.score import Floats, Ints, Metric, Score, column_ratio, find_metric, ratio
from llmkit.metrics.tasks import ranking

__all__ = ["METRICS", "best_thresholds", "difference", "per_label", "scores", "values"]

LabelMatrix = NDArray[np.bool_] | Ints  # 0 or 1, (N, C)

FEW = 5  # positive examples below which a label has no threshold of its own


def _split_counts(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the counts (..., C) of each label: correctly predicted, in the reference, predicted."""
    correct, reference, predicted = np.split(sums[..., :-4], 3, axis=-1)
    return correct, reference, predicted


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *(
            macro_average(key, _split_counts, over="all", note="macro average over all labels")
            for key in BY_COUNTS
        ),
        *(micro_average(key, _split_counts, name=f"{key}_micro", note="micro average") for key in BY_COUNTS),
        Metric("f1_samples", column_ratio(-2, -1), note="mean of the examples' own F1"),
        Metric("subset_accuracy", column_ratio(-4, -1), share=True),
        Metric(
            "hamming_loss",
            lambda sums: ratio(sums[..., -3], sums[..., -1] * ((sums.shape[-1] - 4) // 3)),
            note="share of wrong labels",
            higher_is_better=False,
        ),
    )
}


def scores(
    references: LabelMatrix,
    predictions: LabelMatrix,
    *,
    probabilities: Floats | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> dict[str, Score]:
    """Compute all METRICS by name.

    Args:
        references: Correct labels, 0 or 1, (N, C).
        predictions: Predicted labels, 0 or 1, (N, C).
        probabilities: Label probabilities (N, C), which add `pr_auc`, the mean over the labels that have an example.
        resampling: Confidence, number of resamples and seed.
    """
    results = measure(_statistics(references, predictions), METRICS.values(), resampling=resampling)
    if probabilities is not None:
        results["pr_auc"] = ranking.pr_auc(references, probabilities, resampling=resampling)
    return results


def values(references: LabelMatrix, predictions: LabelMatrix) -> dict[str, float]:
    """Compute all METRICS by name without intervals, as needed for validation during training."""
    total = _statistics(references, predictions).sum(axis=0)
    return {name: float(metric.score(total)) for name, metric in METRICS.items()}


def per_label(
    references: LabelMatrix,
    predictions: LabelMatrix,
    names: Sequence[str],
    *,
    probabilities: Floats | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> dict[str, dict[str, Score]]:
    """Compute precision, recall and F1 of each label (`counts.precision_recall_f1`); n of the recall is the support.

    Args:
        references: Correct labels, 0 or 1, (N, C).
        predictions: Predicted labels, 0 or 1, (N, C).
        names: Names of the C labels.
        probabilities: Label probabilities (N, C), which add `pr_auc` of each label (bootstrap).
        resampling: Confidence, number of resamples and seed.

    Returns:
        Scores by label name and metric name.
    """
    total = _statistics(references, predictions).sum(axis=0)
    rows = np.stack(_split_counts(total), axis=-1).astype(int).tolist()
    results = {
        name: precision_recall_f1(correct, reference, predicted, resampling.confidence)
        for name, (correct, reference, predicted) in zip(names, rows, strict=True)
    }
    if probabilities is not None:
        for name, reference_N, probability_N in zip(names, np.transpose(references), probabilities.T):
            results[name]["pr_auc"] = ranking.pr_auc(reference_N, probability_N, resampling=resampling)
    return results


def difference(
    references: LabelMatrix,
    first: LabelMatrix,
    second: LabelMatrix,
    metric: str = "f1",
    *,
    probabilities: tuple[Floats, Floats] | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> paired.Difference:
    """Compute metric(first) - metric(second) for the predictions of two systems on the same examples.

    Args:
        references: Correct labels, 0 or 1, (N, C).
        first: Predicted labels of the first system, (N, C).
        second: Predicted labels of the second system, (N, C).
        metric: Name of the metric; `pr_auc` needs probabilities. UserError E01 if there is none of that name.
        probabilities: Label probabilities (N, C) of both systems.
        resampling: Confidence, number of resamples and seed.
    """
    if metric == "pr_auc" and probabilities is not None:
        return ranking.pr_auc_difference(references, *probabilities, resampling=resampling)
    pairs = np.hstack([_statistics(references, predictions) for predictions in (first, second)])
    return paired.difference(pairs, find_metric(metric, METRICS), resampling=resampling)


def best_thresholds(references: LabelMatrix, probabilities: Floats) -> Floats:
    """Find for each label the threshold whose `probability >= threshold` has the highest F1 on these examples.

    A label with fewer than FEW positive examples takes the threshold that is best for all labels together (micro F1):
    its own would follow single examples, and a low threshold costs many false positives. A threshold lies midway
    between two neighbouring probabilities; of equally good ones the closest to 0.5 is taken; without any positive
    example it is 0.5. Use the validation set: on the examples they were chosen on, F1 is too optimistic.

    Args:
        references: Correct labels, 0 or 1, (N, C).
        probabilities: Label probabilities, (N, C).

    Returns:
        Thresholds, (C,).

    Source: Fan and Lin (2007), A study on threshold selection for multi-label classification.
    """
    labels_NC, numbers_NC = _as_matrix(references), np.asarray(probabilities, dtype=np.float64)
    assert labels_NC.shape == numbers_NC.shape, "references and probabilities of different shapes"
    own_thresholds = [
        _best_threshold(label_N, number_N) for label_N, number_N in zip(labels_NC.T, numbers_NC.T)
    ]
    return np.where(
        labels_NC.sum(0) >= FEW, own_thresholds, _best_threshold(labels_NC.ravel(), numbers_NC.ravel())
    )


def _best_threshold(label_N: Floats, probability_N: Floats) -> float:
    order = np.argsort(-probability_N, kind="stable")
    ordered, positives = probability_N[order], label_N.sum()
    if not positives:
        return 0.5
    last = np.flatnonzero(np.diff(ordered, append=-np.inf))  # of each run of equal probabilities
    correct, predicted = label_N[order].cumsum()[last], last + 1
    f1 = ratio(2 * correct, predicted + positives)
    above, below = ordered[last], np.append(ordered[last[:-1] + 1], 0.0)
    middle = (above + below) / 2
    thresholds = np.where(middle > below, middle, above)  # neighbours without a number between them
    best = np.flatnonzero(f1 >= f1.max() * (1 - 1e-12))
    return float(thresholds[best[np.argmin(np.abs(thresholds[best] - 0.5))]])


def _statistics(references: LabelMatrix, predictions: LabelMatrix) -> Floats:
    """Return the statistics of each example, (N, 3 C + 4)."""
    reference, predicted = _as_matrix(references), _as_matrix(predictions)
    assert reference.shape == predicted.shape, "references and predictions of different shapes"
    correct, wrong = reference * predicted, np.abs(reference - predicted).sum(axis=1)
    own_f1 = BY_COUNTS["f1"](correct.sum(axis=1), reference.sum(axis=1), predicted.sum(axis=1))
    return np.column_stack(
        [correct, reference, predicted, wrong == 0, wrong, own_f1, np.ones(len(reference))]
    )


def _as_matrix(labels: LabelMatrix) -> Floats:
    matrix = np.asarray(labels, dtype=np.float64)
    assert matrix.ndim == 2 and np.isin(matrix, (0, 1)).all(), "labels are 0 or 1, (N, C)"
    return matrix
