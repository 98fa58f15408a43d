"""The types of a score and of a metric: a score is a value, an interval, n and a method.

A metric is a set of statistics per example and a pure function of their sum (as in sacrebleu). Everything else follows
from that shape: a bootstrap interval scores resampled sums, a slice scores the sum of its examples, two processes add
their sums, and a paired test scores two sums with the same weights. A metric that depends on the order of all examples
(Spearman, PR-AUC) is not a function of sums; a `RankMetric` gets the number of times each example is drawn instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import UserError, suggest

__all__ = [
    "Floats",
    "Ints",
    "Metric",
    "RankMetric",
    "Score",
    "Statistics",
    "find_metric",
    "ratio",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ScoreFunction = Callable[[Floats], Floats]  # summed statistics (..., K) -> values (...)
AnyMetric = TypeVar("AnyMetric")


@dataclass(frozen=True)
class Score:
    """A value with its confidence interval.

    Args:
        value: The score; proportions are in [0, 1].
        low: Lower end of the interval, None if there is no interval.
        high: Upper end of the interval, None if there is no interval.
        n: Number of examples (or of words, entities, ...) the score is computed from.
        method: How the interval was computed, or why there is none.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    method: str

    def to_json(self) -> dict[str, Any]:
        """Return the score as the JSON object used in reports and on the command line."""
        return asdict(self)


@dataclass(frozen=True)
class Metric:
    """A score that is a function of summed statistics.

    Args:
        name: Key of the score.
        score: Maps summed statistics (..., K) to values (...), for any leading axes. Returns nan where the score is
            undefined; a score built on `ratio` is 0 without examples.
        share: Whether the score is the mean of a 0 or 1 per example, so that closed forms hold (Wilson, McNemar).
        note: What a reader must know beside the number, such as "macro average"; appended to the method string.
        higher_is_better: False for errors and losses.
        point: Size of one "point" in a sentence: 0.01 for proportions and correlations, 1 for a 0-100 scale, None for
            a number with a unit of its own, such as a squared error.
    """

    name: str
    score: ScoreFunction
    share: bool = False
    note: str = ""
    higher_is_better: bool = True
    point: float | None = 0.01


@dataclass(frozen=True)
class RankMetric:
    """A score that depends on the order of all examples, such as Spearman's correlation.

    Args:
        name: Key of the score.
        score: Maps examples (N, K) and weights (R, N) to values (R,). Each row of weights is a sample that contains
            example i weights[r, i] times, so one sort serves all R samples; a row of ones gives the score of the
            examples themselves. Returns nan where the score is undefined.
        note: See `Metric`.
        higher_is_better: See `Metric`.
        point: See `Metric`.
    """

    name: str
    score: Callable[[Floats, Floats], Floats]
    note: str = ""
    higher_is_better: bool = True
    point: float | None = 0.01


@dataclass(frozen=True, eq=False)
class Statistics:
    """Statistics of each example (N, K), and the metrics that score their sum.

    `intervals.measure(rows, metrics)` computes the scores with intervals. The rows of two systems with the same
    metrics, side by side, are the input of `paired.difference`.
    """

    rows: Floats
    metrics: tuple[Metric, ...]

    @staticmethod
    def join(parts: Sequence[Statistics]) -> Statistics:
        """Put the statistics of several metrics on the same examples side by side."""
        ends = np.cumsum([0, *(part.rows.shape[1] for part in parts)])
        metrics = [
            replace(metric, score=_on_columns(metric.score, slice(int(start), int(end))))
            for part, start, end in zip(parts, ends[:-1], ends[1:], strict=True)
            for metric in part.metrics
        ]
        return Statistics(np.hstack([part.rows for part in parts]), tuple(metrics))

    def values(self) -> dict[str, float]:
        """Return the scores without intervals, as needed for validation during training."""
        total = self.rows.sum(axis=0)
        return {metric.name: float(metric.score(total)) for metric in self.metrics}


def _on_columns(score: ScoreFunction, columns: slice) -> ScoreFunction:
    return lambda sums: score(sums[..., columns])


def find_metric(name: str, metrics: Mapping[str, AnyMetric]) -> AnyMetric:
    """Return the metric of this name; raise UserError E01 if there is none."""
    if name not in metrics:
        message = f'unknown metric "{name}"{suggest(name, metrics)}'
        raise UserError("E01", "", message, f"choose from {', '.join(metrics)}")
    return metrics[name]


def ratio(numerator: NDArray[Any], denominator: NDArray[Any], *, undefined: float = 0.0) -> Floats:
    """Divide; where the denominator is 0, the result is `undefined` (0 as scikit-learn's zero_division=0)."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    result: Floats = np.divide(
        numerator, denominator, out=np.full(numerator.shape, undefined), where=denominator != 0
    )
    return result


def column_ratio(numerator: int, denominator: int, *, undefined: float = 0.0) -> ScoreFunction:
    """Make the score that divides one column of the summed statistics by another (see `ratio`)."""
    return lambda sums: ratio(sums[..., numerator], sums[..., denominator], undefined=undefined)
