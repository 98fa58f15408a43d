"""Relation extraction: the official score of SemEval-2010 task 8, for any label set.

    scores(references, predictions, names, negative="Other")["f1"]

As semeval2010_task8_scorer-v1.2 ("(9+1)-way evaluation taking directionality into account"): a label such as
`Cause-Effect(e1,e2)` is a relation with a direction. Both directions of a relation are scored together, but the right
relation in the wrong direction is an error, for precision and for recall. F1 is the mean over the relations that have
an example. The negative class ("Other", or `unknown` in SanWen) is not in that mean, but confusions with it count
against the relations. A label without a direction is a relation by itself, so without directions this is macro F1
without the negative class.

The statistics of an example are 3 R + 2 numbers: for each of R relations whether it was predicted correctly, is the
reference, and was predicted; whether the label is correct; and 1. The limits of the intervals are described in
`intervals`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from llmkit.metrics import paired
from llmkit.metrics.counts import BY_COUNTS, macro_average, micro_average, precision_recall_f1
from llmkit.metrics.intervals import measure, merge_equal_rows
from llmkit.metrics.resampling import DEFAULT_RESAMPLING, Resampling
from llmkit.metrics.score import Floats, Ints, Metric, Score, column_ratio, find_metric

__all__ = ["METRICS", "difference", "per_relation", "remove_direction", "scores", "values"]

DIRECTION = re.compile(r"\((e1,e2|e2,e1)\)$")


def remove_direction(label: str) -> str:
    """Return the label without its direction: Cause-Effect for `Cause-Effect(e2,e1)`."""
    return DIRECTION.sub("", label)


def _split_counts(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the counts (..., R) of each relation: correct, in the reference, predicted.

    Predictions of a relation without any example are ignored, as in the official scorer.
    """
    correct, reference, predicted = np.split(sums[..., :-2], 3, axis=-1)
    return correct, reference, np.where(reference > 0, predicted, 0)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *(
            macro_average(
                key,
                _split_counts,
                over="in_reference",
                note="SemEval-2010 task 8, macro average without the negative class",
            )
            for key in BY_COUNTS
        ),
        *(
            micro_average(
                key, _split_counts, name=f"{key}_micro", note="micro average without the negative class"
            )
            for key in BY_COUNTS
        ),
        Metric("accuracy", column_ratio(-2, -1), share=True),
    )
}


def scores(
    references: Ints,
    predictions: Ints,
    names: Sequence[str],
    *,
    negative: str | None = "Other",
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> dict[str, Score]:
    """Compute all METRICS by name; `f1` is the official score.

    Args:
        references: Correct labels, (N,), as indices of the names.
        predictions: Predicted labels, (N,).
        names: Names of all labels.
        negative: The name that means "no relation"; None if there is none.
        resampling: Confidence, number of resamples and seed.
    """
    statistics = _statistics(references, predictions, names, negative)
    return measure(statistics, METRICS.values(), resampling=resampling)


def values(
    references: Ints, predictions: Ints, names: Sequence[str], *, negative: str | None = "Other"
) -> dict[str, float]:
    """Compute all METRICS by name without intervals, as needed for validation during training."""
    total = _statistics(references, predictions, names, negative).sum(axis=0)
    return {name: float(metric.score(total)) for name, metric in METRICS.items()}


def per_relation(
    references: Ints,
    predictions: Ints,
    names: Sequence[str],
    *,
    negative: str | None = "Other",
    confidence: float = 0.95,
) -> dict[str, dict[str, Score]]:
    """Compute precision, recall and F1 of each relation, both directions together.

    An example in the wrong direction is two errors of one relation, so the interval of F1 counts it as two examples.

    Args:
        references: Correct labels, (N,), as indices of the names.
        predictions: Predicted labels, (N,).
        names: Names of all labels.
        negative: The name that means "no relation"; None if there is none.
        confidence: Coverage of the intervals (`counts.precision_recall_f1`).

    Returns:
        Scores by relation and metric name.
    """
    relations = _list_relations(names, negative)
    total = _statistics(references, predictions, names, negative).sum(axis=0)
    rows = total[:-2].reshape(3, len(relations)).T.astype(int).tolist()
    return {
        name: precision_recall_f1(correct, reference, predicted, confidence)
        for name, (correct, reference, predicted) in zip(relations, rows)
    }


def difference(
    references: Ints,
    first: Ints,
    second: Ints,
    names: Sequence[str],
    metric: str = "f1",
    *,
    negative: str | None = "Other",
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> paired.Difference:
    """Compute metric(first) - metric(second) for the predictions of two systems on the same examples.

    Args:
        references: Correct labels, (N,), as indices of the names.
        first: Labels predicted by the first system, (N,).
        second: Labels predicted by the second system, (N,).
        names: Names of all labels.
        metric: Name of the metric; UserError E01 if there is none.
        negative: The name that means "no relation"; None if there is none.
        resampling: Confidence, number of resamples and seed.
    """
    chosen = find_metric(metric, METRICS)
    both = [_statistics(references, predictions, names, negative) for predictions in (first, second)]
    return paired.difference(merge_equal_rows(np.hstack(both)), chosen, resampling=resampling)


def _list_relations(names: Sequence[str], negative: str | None) -> list[str]:
    """Return the relations in the order of the labels, each once, without the negative class."""
    assert negative is None or negative in names, f"the negative class {negative} is not a label"
    return list(dict.fromkeys(remove_direction(name) for name in names if name != negative))


def _statistics(references: Ints, predictions: Ints, names: Sequence[str], negative: str | None) -> Floats:
    """Return the statistics of each example, (N, 3 R + 2)."""
    references, predictions = (np.asarray(labels, dtype=np.int64) for labels in (references, predictions))
    assert references.shape == predictions.shape, "labels of different lengths"
    relations = _list_relations(names, negative)
    relation_of_label = np.zeros((len(names), len(relations)))  # one-hot; all zero for the negative class
    for number, name in enumerate(names):
        if name != negative:
            relation_of_label[number, relations.index(remove_direction(name))] = 1
    correct = (references == predictions)[:, None]
    reference, predicted = relation_of_label[references], relation_of_label[predictions]
    return np.hstack([reference * correct, reference, predicted, correct, np.ones_like(correct)])
