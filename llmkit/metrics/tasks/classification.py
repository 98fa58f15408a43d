"""Single-label classification: accuracy, precision, recall, F1 and MCC, for all classes together and for each class.

    scores(references, predictions, ["negative", "positive"])["f1"]   # macro F1 with a 95% BCa interval

The statistics of an example are 3 C + 1 numbers: for each class whether it was predicted correctly, is the reference,
and was predicted; then the distance between the numbers of the two classes. Their sums are all that these metrics need
of the confusion matrix, and they grow with C instead of C squared, so a hundred classes stay cheap. Examples are merged
to their distinct (reference, predicted) cells, so the cost hardly depends on n.

With class probabilities there is PR-AUC (average precision, see `ranking`) as well: the score to read if a class is
rare, beside the F1 of that class in `per_class`. Its time grows with n and C: 2000 resamples of 1,000 examples and 10
classes take 0.4 s. The limits of the intervals are described in `intervals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from llmkit.metrics import paired
from llmkit.metrics.counts import BY_COUNTS, macro_average, precision_recall_f1
from llmkit.metrics.intervals import Sample, measure
from llmkit.metrics.resampling import DEFAULT_RESAMPLING, Resampling
from llmkit.metrics.score import Floats, Ints, Metric, Score, find_metric, ratio
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


def _split_counts(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the counts (..., C) of each class: predicted correctly, in the reference, predicted."""
    correct, reference, predicted = np.split(sums[..., :-1], 3, axis=-1)
    return correct, reference, predicted


def _accuracy(sums: Floats) -> Floats:
    correct, reference, _ = _split_counts(sums)
    return ratio(correct.sum(-1), reference.sum(-1))


def _mcc(sums: Floats) -> Floats:
    """Compute Matthews' correlation for any number of classes; 0 if references or predictions have one class only.

    Source: R_K of Gorodkin (2004), Comparing two K-category assignments by a K-category correlation coefficient.
    """
    correct, reference, predicted = _split_counts(sums)
    n = reference.sum(-1)
    covariance = correct.sum(-1) * n - (reference * predicted).sum(-1)
    variances = (n**2 - (reference**2).sum(-1)) * (n**2 - (predicted**2).sum(-1))
    return ratio(covariance, np.sqrt(variances))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", _accuracy, share=True),
        *(macro_average(key, _split_counts, over="occurring", note="macro average") for key in BY_COUNTS),
        # With one label per example, an error is one false positive and one false negative: all equal accuracy.
        Metric("f1_micro", _accuracy, share=True),
        Metric("precision_micro", _accuracy, share=True),
        Metric("recall_micro", _accuracy, share=True),
        Metric("mcc", _mcc),
    )
}

# For ordered classes, such as 0 to 4 stars, there is also the mean distance between class numbers.
ORDINAL: dict[str, Metric] = {
    **METRICS,
    "mae": Metric(
        "mae",
        lambda sums: ratio(sums[..., -1], _split_counts(sums)[1].sum(-1)),
        note="distance of class numbers",
        higher_is_better=False,
        point=None,
    ),
}


def get_metric(name: str, *, ordered: bool = False) -> Metric:
    """Return the metric of this name; raise UserError E01 if there is none."""
    return find_metric(name, ORDINAL if ordered else METRICS)


def scores(
    references: Ints,
    predictions: Ints,
    names: Sequence[str],
    *,
    ordered: bool = False,
    probabilities: Floats | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> dict[str, Score]:
    """Compute all METRICS by name.

    Args:
        references: Correct classes, (N,), as indices of the names.
        predictions: Predicted classes, (N,).
        names: Names of the C classes.
        ordered: Whether the classes have an order, which adds `mae` (ORDINAL).
        probabilities: Class probabilities (N, C), which add `pr_auc`, the mean over the classes that have an example.
        resampling: Confidence, number of resamples and seed.
    """
    cells, metrics = count_cells(references, predictions, len(names)), ORDINAL if ordered else METRICS
    results = measure(cells, metrics.values(), resampling=resampling)
    if probabilities is not None:
        results["pr_auc"] = ranking.pr_auc(
            np.eye(len(names))[references], probabilities, resampling=resampling
        )
    return results


def per_class(
    references: Ints,
    predictions: Ints,
    names: Sequence[str],
    *,
    probabilities: Floats | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> dict[str, dict[str, Score]]:
    """Compute precision, recall and F1 of each class (`counts.precision_recall_f1`); n of the recall is the support.

    Args:
        references: Correct classes, (N,), as indices of the names.
        predictions: Predicted classes, (N,).
        names: Names of the C classes.
        probabilities: Class probabilities (N, C), which add `pr_auc` of each class against all others (bootstrap).
        resampling: Confidence, number of resamples and seed.

    Returns:
        Scores by class name and metric name.
    """
    counts = _split_counts(count_cells(references, predictions, len(names)).total)
    rows = np.stack(counts, axis=-1).astype(int).tolist()
    results = {
        name: precision_recall_f1(correct, reference, predicted, resampling.confidence)
        for name, (correct, reference, predicted) in zip(names, rows)
    }
    if probabilities is not None:
        for number, name in enumerate(names):
            is_class = np.asarray(references) == number
            results[name]["pr_auc"] = ranking.pr_auc(
                is_class, probabilities[:, number], resampling=resampling
            )
    return results


def difference(
    references: Ints,
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
    """Compute metric(first) - metric(second) for the predictions of two systems on the same examples.

    Args:
        references: Correct classes, (N,), as indices of the names.
        first: Predicted classes of the first system, (N,).
        second: Predicted classes of the second system, (N,).
        names: Names of the C classes.
        metric: Name of the metric; `pr_auc` needs probabilities.
        of: Name of one class (a rare one, for example) whose precision, recall, f1 or pr_auc is compared.
        ordered: Whether the classes have an order, which adds `mae`.
        probabilities: Class probabilities (N, C) of both systems.
        resampling: Confidence, number of resamples and seed.

    Raises:
        UserError: E01 if there is no such metric.
    """
    number, classes = None if of is None else list(names).index(of), len(names)
    if metric == "pr_auc" and probabilities is not None:
        columns = (np.eye(classes)[references], *probabilities)
        label, one, other = columns if number is None else (column[:, number] for column in columns)
        result = ranking.pr_auc_difference(label, one, other, resampling=resampling)
        return result if of is None else replace(result, metric=f"pr_auc of {of}")
    if number is None:
        chosen = get_metric(metric, ordered=ordered)
    else:
        by_counts = find_metric(metric, BY_COUNTS)
        chosen = Metric(
            f"{metric} of {of}",
            lambda sums: by_counts(*(counts[..., number] for counts in _split_counts(sums))),
        )
    # The distinct (reference, first, second) cells, with the statistics (D, 6 C + 2) of both systems.
    cells, counts = np.unique(_number_cells(classes, references, first, second), return_counts=True)
    both, second_D = np.divmod(cells, classes)
    reference_D, first_D = np.divmod(both, classes)
    rows = [_count_rows(reference_D, predicted_D, classes) for predicted_D in (first_D, second_D)]
    return paired.difference(Sample(np.hstack(rows), counts), chosen, resampling=resampling)


def confusion_matrix(references: Ints, predictions: Ints, num_classes: int) -> Ints:
    """Count examples by reference (rows) and predicted class (columns), (C, C)."""
    cells = _number_cells(num_classes, references, predictions)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def count_cells(references: Ints, predictions: Ints, num_classes: int) -> Sample:
    """Return the statistics (D, 3 C + 1) of the D distinct (reference, predicted) cells, and their counts."""
    cells, counts = np.unique(_number_cells(num_classes, references, predictions), return_counts=True)
    reference_D, predicted_D = np.divmod(cells, num_classes)
    return Sample(_count_rows(reference_D, predicted_D, num_classes), counts)


def _number_cells(num_classes: int, *labels: Ints) -> Ints:
    """Return one number for each example's combination of labels; the first label varies slowest."""
    columns = [np.asarray(column, dtype=np.int64) for column in labels]
    assert len({column.shape for column in columns}) == 1, "labels of different lengths"
    assert all(((column >= 0) & (column < num_classes)).all() for column in columns), "a label is not a class"
    cells = np.zeros_like(columns[0])
    for column in columns:
        cells = cells * num_classes + column
    return cells


def _count_rows(references: Ints, predictions: Ints, num_classes: int) -> Floats:
    """Return the statistics (N, 3 C + 1) of each example."""
    reference, predicted = np.eye(num_classes)[references], np.eye(num_classes)[predictions]
    return np.hstack([reference * predicted, reference, predicted, np.abs(references - predictions)[:, None]])
