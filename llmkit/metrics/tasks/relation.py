"""Relation extraction: the official score of SemEval-2010 task 8, for any label set.

    scores(golds, predictions, names, negative="Other")["f1"]

As semeval2010_task8_scorer-v1.2 ("(9+1)-way evaluation taking directionality into account"): a label such as
`Cause-Effect(e1,e2)` is a relation with a direction. Both directions of a relation are scored as one, but the
right relation in the wrong direction is wrong, for precision and for recall. F1 is the mean over the relations
that have a gold example. The negative class ("Other", or `unknown` in SanWen) is not in that mean, but what is
confused with it counts against the relations. A label without a direction is a relation by itself, so without
directions this is macro F1 without the negative class.

An example's statistics are 3 R + 2 numbers: for each of R relations was it right, gold, predicted; was the label
right; and 1. The intervals' limits: see `intervals`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from llmkit.metrics import paired
from llmkit.metrics.intervals import measure, merge_equal_rows, precision_recall_f1
from llmkit.metrics.resampling import DEFAULT_RESAMPLING, Resampling
from llmkit.metrics.score import BY_COUNTS, Floats, Ints, Metric, Score, find_metric, ratio

__all__ = ["METRICS", "difference", "per_relation", "remove_direction", "scores", "values"]

DIRECTION = re.compile(r"\((e1,e2|e2,e1)\)$")


def remove_direction(label: str) -> str:
    """The label without its direction: `Cause-Effect(e2,e1)` is Cause-Effect."""
    return DIRECTION.sub("", label)


def _right_gold_predicted(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Counts (..., R) of each relation; what was predicted as a relation without gold is left out, as there."""
    right, gold, predicted = np.split(sums[..., :-2], 3, axis=-1)
    return right, gold, np.where(gold > 0, predicted, 0)


def _macro(name: str) -> Metric:
    def score(sums: Floats) -> Floats:
        right, gold, predicted = _right_gold_predicted(sums)
        return ratio(BY_COUNTS[name](right, gold, predicted).sum(-1), (gold > 0).sum(-1))

    return Metric(name, score, note="SemEval-2010 task 8, macro average without the negative class")


def _micro(name: str) -> Metric:
    def score(sums: Floats) -> Floats:
        return BY_COUNTS[name](*(counts.sum(-1) for counts in _right_gold_predicted(sums)))

    return Metric(f"{name}_micro", score, note="micro average without the negative class")


def _accuracy(sums: Floats) -> Floats:
    return ratio(sums[..., -2], sums[..., -1])


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *(_macro(name) for name in BY_COUNTS),
        *(_micro(name) for name in BY_COUNTS),
        Metric("accuracy", _accuracy, share=True),
    )
}


def scores(
    golds: Ints,
    predictions: Ints,
    names: Sequence[str],
    *,
    negative: str | None = "Other",
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> dict[str, Score]:
    """All METRICS by name, from labels (N,) that index the names; `f1` is the official score.

    negative: the label that means "no relation", one of the names; None where there is none.
    """
    statistics = _statistics(golds, predictions, names, negative)
    return measure(statistics, METRICS.values(), resampling=resampling)


def values(
    golds: Ints, predictions: Ints, names: Sequence[str], *, negative: str | None = "Other"
) -> dict[str, float]:
    """All METRICS by name without intervals, as at an evaluation during training."""
    total = _statistics(golds, predictions, names, negative).sum(axis=0)
    return {name: float(metric.score(total)) for name, metric in METRICS.items()}


def per_relation(
    golds: Ints,
    predictions: Ints,
    names: Sequence[str],
    *,
    negative: str | None = "Other",
    confidence: float = 0.95,
) -> dict[str, dict[str, Score]]:
    """Precision, recall and F1 of each relation, both directions together, by `intervals.by_counts`.

    An example in the wrong direction is two errors of one relation, so F1's interval takes it for two examples.
    """
    relations = _relations(names, negative)
    total = _statistics(golds, predictions, names, negative).sum(axis=0)
    rows = total[:-2].reshape(3, len(relations)).T.astype(int).tolist()
    return {
        name: precision_recall_f1(right, gold, predicted, confidence)
        for name, (right, gold, predicted) in zip(relations, rows)
    }


def difference(
    golds: Ints,
    first: Ints,
    second: Ints,
    names: Sequence[str],
    metric: str = "f1",
    *,
    negative: str | None = "Other",
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> paired.Difference:
    """metric(first) - metric(second) for two systems' predictions (N,) on the same examples.

    UserError E01 for an unknown metric.
    """
    chosen = find_metric(metric, METRICS)
    both = [_statistics(golds, predictions, names, negative) for predictions in (first, second)]
    pairs = merge_equal_rows(np.hstack(both))
    return paired.difference(pairs, chosen, resampling=resampling)


def _relations(names: Sequence[str], negative: str | None) -> list[str]:
    """The relations in the order of the labels, each once, without the negative class."""
    assert negative is None or negative in names, f"the negative class {negative} is no label"
    return list(dict.fromkeys(remove_direction(name) for name in names if name != negative))


def _statistics(golds: Ints, predictions: Ints, names: Sequence[str], negative: str | None) -> Floats:
    """(N, 3 R + 2): right, gold, predicted of each relation; label right; 1."""
    golds, predictions = np.asarray(golds, dtype=np.int64), np.asarray(predictions, dtype=np.int64)
    assert golds.shape == predictions.shape, "labels of different lengths"
    relations = _relations(names, negative)
    one_hot = np.zeros((len(names), len(relations)))  # no relation for the negative class
    for number, name in enumerate(names):
        if name != negative:
            one_hot[number, relations.index(remove_direction(name))] = 1
    right = (golds == predictions)[:, None]
    gold, predicted = one_hot[golds], one_hot[predictions]
    return np.hstack([gold * right, gold, predicted, right, np.ones_like(right)])
