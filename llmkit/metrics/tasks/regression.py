"""Regression: Pearson's and Spearman's correlation, mean squared and mean absolute error.

    scores(golds, predictions)["pearson"]            # golds and predictions are numbers (N,)

Pearson and the errors come from sums of an example's products and errors; Spearman from ranks (`ranking`). A
correlation with a constant is undefined (scipy gives nan and a warning); here it is 0 and the method says so,
because a baseline that always answers the mean must stay comparable. The intervals' limits: see `intervals`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from llmkit.metrics import paired
from llmkit.metrics.intervals import Sample, measure, measure_ranks, merge_equal_rows
from llmkit.metrics.resampling import DEFAULT_RESAMPLING, Resampling
from llmkit.metrics.score import Floats, Metric, RankMetric, Score, find_metric, ratio
from llmkit.metrics.tasks.ranking import SPEARMAN, midranks

__all__ = ["METRICS", "difference", "scores", "values"]

ROUNDING = 1e-12  # a variance below this share of the squares is what rounding leaves of zero


def _pearson(sums: Floats) -> Floats:
    """From (x, y, x^2, y^2, x y, |error|, error^2, 1); 0 where a side does not vary."""
    x, y, xx, yy, xy, _, _, n = np.moveaxis(sums, -1, 0)
    variances = [_unless_rounding(n * square - total**2, n * square) for square, total in ((xx, x), (yy, y))]
    return np.clip(ratio(n * xy - x * y, np.sqrt(variances[0]) * np.sqrt(variances[1])), -1, 1)


def _unless_rounding(variance: Floats, squares: Floats) -> Floats:
    return np.where(variance > ROUNDING * squares, variance, 0)


def _mae(sums: Floats) -> Floats:
    return ratio(sums[..., 5], sums[..., 7])


def _mse(sums: Floats) -> Floats:
    return ratio(sums[..., 6], sums[..., 7])


METRICS: dict[str, Metric | RankMetric] = {
    metric.name: metric
    for metric in (
        Metric("pearson", _pearson),
        SPEARMAN,
        Metric("mse", _mse, higher_is_better=False, point=None),
        Metric("mae", _mae, higher_is_better=False, point=None),
    )
}


def scores(
    golds: Floats, predictions: Floats, *, resampling: Resampling = DEFAULT_RESAMPLING
) -> dict[str, Score]:
    """All METRICS by name, from numbers (N,)."""
    golds, predictions = _numbers(golds), _numbers(predictions)
    sums = [metric for metric in METRICS.values() if isinstance(metric, Metric)]
    ranks = [metric for metric in METRICS.values() if isinstance(metric, RankMetric)]
    sample, pairs = _sample(golds, predictions), np.stack([golds, predictions], axis=1)
    found = {
        **measure(sample, sums, resampling=resampling),
        **measure_ranks(pairs, ranks, resampling=resampling),
    }
    constant = [
        side for side, numbers in (("gold", golds), ("predicted", predictions)) if _is_constant(numbers)
    ]
    return _with_note({name: found[name] for name in METRICS}, constant)


def values(golds: Floats, predictions: Floats) -> dict[str, float]:
    """All METRICS by name without intervals, as at an evaluation during training."""
    golds, predictions = _numbers(golds), _numbers(predictions)
    total, pairs = _sample(golds, predictions).total, np.stack([golds, predictions], axis=1)
    once = np.ones((1, len(golds)))
    return {
        name: float(metric.score(total) if isinstance(metric, Metric) else metric.score(pairs, once)[0])
        for name, metric in METRICS.items()
    }


def difference(
    golds: Floats,
    first: Floats,
    second: Floats,
    metric: str = "pearson",
    *,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> paired.Difference:
    """metric(first) - metric(second) for two systems' predictions (N,) on the same examples.

    The p-value swaps the systems' outputs, which means something only on one scale: for the correlations each
    system's outputs are standardized (Pearson) or ranked (Spearman) first; neither changes its score.
    UserError E01 for an unknown metric.
    """
    golds, both, found = _numbers(golds), [_numbers(first), _numbers(second)], find_metric(metric, METRICS)
    if isinstance(found, RankMetric):
        ranked = np.hstack([np.stack([golds, midranks(numbers)], axis=1) for numbers in both])
        return paired.rank_difference(ranked, found, resampling=resampling)
    pairs = np.hstack([_statistics(golds, numbers) for numbers in both])
    return paired.difference(pairs, found, resampling=resampling)


def _sample(golds: Floats, predictions: Floats) -> Sample:
    return merge_equal_rows(_statistics(golds, predictions))


def _statistics(golds: Floats, predictions: Floats) -> Floats:
    """(N, 8): x, y, x^2, y^2, x y of the standardized golds and predictions, |error|, error^2, 1."""
    assert golds.shape == predictions.shape, "golds and predictions of different lengths"
    x, y, error = _standard(golds), _standard(predictions), predictions - golds
    return np.stack([x, y, x * x, y * y, x * y, np.abs(error), error**2, np.ones(len(x))], axis=1)


def _standard(numbers: Floats) -> Floats:
    """Mean 0 and standard deviation 1, so that sums of squares keep their digits; constants become 0."""
    if _is_constant(numbers):
        return np.zeros(len(numbers))
    centred: Floats = numbers - numbers.mean()
    centred /= np.abs(centred).max()  # squares of very small or large numbers would leave the range
    centred /= centred.std()
    return centred


def _is_constant(numbers: Floats) -> bool:
    return not len(numbers) or bool(numbers.min() == numbers.max())


def _numbers(numbers: Floats) -> Floats:
    array = np.asarray(numbers, dtype=np.float64)
    assert array.ndim == 1 and np.isfinite(array).all(), "golds and predictions are finite numbers (N,)"
    return array


def _with_note(found: Mapping[str, Score], constant: list[str]) -> dict[str, Score]:
    """The correlations with a constant have no interval, and say why."""
    if not constant:
        return dict(found)
    why = f"no interval: the {' and the '.join(constant)} values are all equal, 0 stands for no correlation"
    return {
        name: replace(score, low=None, high=None, method=why)
        if name in ("pearson", "spearman") and score.n > 1
        else score
        for name, score in found.items()
    }
