"""A score is value, interval, n and method; a metric is per-example statistics and a pure score of their sum.

That shape (after sacrebleu's metric base) makes everything else cheap: an interval resamples sums, a slice
adds up a part, two processes add up their halves, and a paired test resamples two sums with the same weights.
What depends on the order of all examples is no function of sums: a `RankMetric` takes how often each is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import UserError, closest

__all__ = [
    "BY_COUNTS",
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
Found = TypeVar("Found", bound="Metric | RankMetric")


@dataclass(frozen=True)
class Score:
    """A number and how far to trust it. Shares lie in [0, 1]; low and high are None without an interval."""

    value: float
    low: float | None
    high: float | None
    n: int
    method: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Metric:
    """score maps summed statistics (..., K) to values (...); it must take any leading axes.
    With `ratio` it has a value for no examples too; where it has none it gives nan.

    share marks the mean of a 0 or 1 per example (hits / n): closed forms hold for it (Wilson, McNemar).
    note is what a reader must know beside the number, such as "macro average"; it joins the method string.
    point is what a sentence calls one point: 0.01 of a share or a correlation, 1 on a scale of 100; None for
    a number with a unit of its own, such as a squared error.
    """

    name: str
    score: Callable[[Floats], Floats]
    share: bool = False
    note: str = ""
    higher_is_better: bool = True
    point: float | None = 0.01


@dataclass(frozen=True)
class RankMetric:
    """score maps examples (N, K) and weights (R, N) to values (R,): each row of weights is a sample that holds
    example i weights[r, i] times, so that one sort serves all R. All ones: the score of the examples themselves.

    It gives nan where it has no value. The other fields are those of `Metric`.
    """

    name: str
    score: Callable[[Floats, Floats], Floats]
    note: str = ""
    higher_is_better: bool = True
    point: float | None = 0.01


@dataclass(frozen=True, eq=False)
class Statistics:
    """What some texts have come to: statistics of each example (N, K), and the metrics that score their sum.

    `intervals.measure(rows, metrics)` gives the scores with intervals; two of them with the same metrics, side by
    side, are what `paired.difference` takes.
    """

    rows: Floats
    metrics: tuple[Metric, ...]

    @staticmethod
    def join(parts: Sequence[Statistics]) -> Statistics:
        """Several measures of the same examples as one, their statistics side by side."""
        ends = np.cumsum([0, *(part.rows.shape[1] for part in parts)])
        metrics = [
            replace(metric, score=_of_columns(metric.score, slice(int(start), int(end))))
            for part, start, end in zip(parts, ends[:-1], ends[1:], strict=True)
            for metric in part.metrics
        ]
        return Statistics(np.hstack([part.rows for part in parts]), tuple(metrics))

    def values(self) -> dict[str, float]:
        """The scores without intervals, as at an evaluation during training."""
        total = self.rows.sum(axis=0)
        return {metric.name: float(metric.score(total)) for metric in self.metrics}


def _of_columns(score: Callable[[Floats], Floats], own: slice) -> Callable[[Floats], Floats]:
    return lambda sums: score(sums[..., own])


def find_metric(name: str, metrics: Mapping[str, Found]) -> Found:
    """The metric of that name. UserError E01 when there is none."""
    if name not in metrics:
        message = f'unknown metric "{name}"{closest(name, metrics)}'
        raise UserError("E01", "", message, f"choose from {', '.join(metrics)}")
    return metrics[name]


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Floats:
    """numerator / denominator with 0 / 0 = 0, as scikit-learn's zero_division=0."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    result: Floats = np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator != 0)
    return result


def _precision(right: Floats, _gold: Floats, predicted: Floats) -> Floats:
    return ratio(right, predicted)


def _recall(right: Floats, gold: Floats, _predicted: Floats) -> Floats:
    return ratio(right, gold)


def _f1(right: Floats, gold: Floats, predicted: Floats) -> Floats:
    return ratio(2 * right, gold + predicted)


# From counts (...) of what was predicted rightly, is gold, and was predicted.
BY_COUNTS: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "f1": _f1,
    "precision": _precision,
    "recall": _recall,
}
