"""A score is value, interval, n and method; a metric is per-example statistics and a pure score of their sum.

That shape (after sacrebleu's metric base) makes everything else cheap: an interval resamples sums, a slice
adds up a part, two processes add up their halves, and a paired test resamples two sums with the same weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "Ints", "Metric", "Score", "ratio"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
    """

    name: str
    score: Callable[[Floats], Floats]
    share: bool = False
    note: str = ""


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Floats:
    """numerator / denominator with 0 / 0 = 0, as scikit-learn's zero_division=0."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    result: Floats = np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator != 0)
    return result
