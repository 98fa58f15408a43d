"""Regression: Pearson's and Spearman's correlation, mean squared error and mean absolute error.

    scores(references, predictions)["pearson"]            # references and predictions are numbers (N,)

Pearson and the errors come from sums of products and errors per example, Spearman from ranks (`ranking`). A correlation
with a constant is undefined (scipy returns nan with a warning). Here it is 0 and the method string says so, because a
baseline that always predicts the mean must stay comparable. The limits of the intervals are described in `intervals`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from llmkit.metrics import paired
from llmkit.metrics.intervals import measure, measure_ranks, merge_equal_rows
from llmkit.metrics.resampling import DEFAULT_RESAMPLING, Resampling
from llmkit.metrics.score import Floats, Metric, RankMetric, Score, column_ratio, find_metric, ratio
from llmkit.metrics.tasks.ranking import SPEARMAN, midranks

__all__ = ["METRICS", "difference", "scores", "values"]

ROUNDING = 1e-12  # a variance below this share of the squares is a rounding error of zero


def _pearson(sums: Floats) -> Floats:
    """Compute Pearson's correlation from the summed `_statistics`; 0 if references or predictions do not vary."""
    x, y, xx, yy, xy, _, _, n = np.moveaxis(sums, -1, 0)
    deviations = []
    for square, total in ((xx, x), (yy, y)):
        squares = n * square
        variance = squares - total**2
        deviations.append(np.sqrt(np.where(variance > ROUNDING * squares, variance, 0)))
    return np.clip(ratio(n * xy - x * y, deviations[0] * deviations[1]), -1, 1)


METRICS: dict[str, Metric | RankMetric] = {
    metric.name: metric
    for metric in (
        Metric("pearson", _pearson),
        SPEARMAN,
        Metric("mse", column_ratio(6, 7), higher_is_better=False, point=None),
        Metric("mae", column_ratio(5, 7), higher_is_better=False, point=None),
    )
}


def scores(
    references: Floats, predictions: Floats, *, resampling: Resampling = DEFAULT_RESAMPLING
) -> dict[str, Score]:
    """Compute all METRICS by name.

    Args:
        references: Correct numbers, (N,).
        predictions: Predicted numbers, (N,).
        resampling: Confidence, number of resamples and seed.
    """
    references, predictions = _as_numbers(references), _as_numbers(predictions)
    sums = [metric for metric in METRICS.values() if isinstance(metric, Metric)]
    ranks = [metric for metric in METRICS.values() if isinstance(metric, RankMetric)]
    sample = merge_equal_rows(_statistics(references, predictions))
    pairs = np.stack([references, predictions], axis=1)
    results = {
        **measure(sample, sums, resampling=resampling),
        **measure_ranks(pairs, ranks, resampling=resampling),
    }
    sides = (("reference", references), ("predicted", predictions))
    constant = [side for side, numbers in sides if _is_constant(numbers)]
    if constant:
        method = (
            f"no interval: all {' and all '.join(constant)} values are equal, so the correlation is set to 0"
        )
        for name in ("pearson", "spearman"):
            if results[name].n > 1:
                results[name] = replace(results[name], low=None, high=None, method=method)
    return {name: results[name] for name in METRICS}


def values(references: Floats, predictions: Floats) -> dict[str, float]:
    """Compute all METRICS by name without intervals, as needed for validation during training."""
    references, predictions = _as_numbers(references), _as_numbers(predictions)
    total = merge_equal_rows(_statistics(references, predictions)).total
    pairs, once = np.stack([references, predictions], axis=1), np.ones((1, len(references)))
    return {
        name: float(metric.score(total) if isinstance(metric, Metric) else metric.score(pairs, once)[0])
        for name, metric in METRICS.items()
    }


def difference(
    references: Floats,
    first: Floats,
    second: Floats,
    metric: str = "pearson",
    *,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> paired.Difference:
    """Compute metric(first) - metric(second) for the predictions of two systems on the same examples.

    The p-value swaps the outputs of the systems, which makes sense only on one scale: for the correlations, the outputs
    of each system are first standardized (Pearson) or ranked (Spearman), which does not change its score.

    Args:
        references: Correct numbers, (N,).
        first: Numbers predicted by the first system, (N,).
        second: Numbers predicted by the second system, (N,).
        metric: Name of the metric; UserError E01 if there is none.
        resampling: Confidence, number of resamples and seed.
    """
    references, both = _as_numbers(references), [_as_numbers(first), _as_numbers(second)]
    chosen = find_metric(metric, METRICS)
    if isinstance(chosen, RankMetric):
        ranked = np.hstack([np.stack([references, midranks(numbers)], axis=1) for numbers in both])
        return paired.rank_difference(ranked, chosen, resampling=resampling)
    pairs = np.hstack([_statistics(references, numbers) for numbers in both])
    return paired.difference(pairs, chosen, resampling=resampling)


def _statistics(references: Floats, predictions: Floats) -> Floats:
    """Return x, y, x^2, y^2, x y of the standardized references and predictions, |error|, error^2, 1: (N, 8)."""
    assert references.shape == predictions.shape, "references and predictions of different lengths"
    x, y, error = _standardize(references), _standardize(predictions), predictions - references
    return np.stack([x, y, x * x, y * y, x * y, np.abs(error), error**2, np.ones(len(x))], axis=1)


def _standardize(numbers: Floats) -> Floats:
    """Scale to mean 0 and standard deviation 1, so that sums of squares keep their digits; constants become 0."""
    if _is_constant(numbers):
        return np.zeros(len(numbers))
    centred: Floats = numbers - numbers.mean()
    centred /= np.abs(centred).max()  # squares of very small or large numbers would exceed the range
    centred /= centred.std()
    return centred


def _is_constant(numbers: Floats) -> bool:
    return not len(numbers) or bool(numbers.min() == numbers.max())


def _as_numbers(numbers: Floats) -> Floats:
    array = np.asarray(numbers, dtype=np.float64)
    assert array.ndim == 1 and np.isfinite(array).all(), "references and predictions are finite numbers (N,)"
    return array
