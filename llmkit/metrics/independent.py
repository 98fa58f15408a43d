"""The difference of two scores from two samples with no example in common, from their intervals alone.

    difference(home, elsewhere)      # home minus elsewhere, with an interval

It is how a model's score on its own test rows compares with that on another corpus. `paired` is for two systems
on the same examples, and much sharper there.

MOVER (method of variance estimates recovery: Zou and Donner 2008, Statistics in Medicine 27) recovers from each
interval how far the score may lie on either side of its value, and adds the two in squares. For shares with Wilson
intervals it is Newcombe's hybrid score interval (1998, Statistics in Medicine 17, method 10). It keeps skewed
intervals skewed, and needs nothing but independence and two intervals of the same confidence.

An interval without width (a bootstrap of which every draw scores the same, as on a few rows without an error) says
nothing of how far the score may lie from its value, so there is no interval of the difference either.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

from llmkit.metrics.score import Score

__all__ = ["Difference", "difference", "p_value"]


@dataclass(frozen=True)
class Difference:
    """First minus second; low and high are None where one of the two has no interval, or one without width."""

    value: float
    low: float | None
    high: float | None
    first_n: int
    second_n: int
    method: str

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def difference(first: Score, second: Score) -> Difference:
    """first minus second, of the confidence that both intervals have."""
    value, sizes = first.value - second.value, (first.n, second.n)
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return Difference(value, None, None, *sizes, "no interval: one of the two scores has none")
    if first.low == first.high or second.low == second.high:
        method = "no interval: that of one of the two scores has no width"
        return Difference(value, None, None, *sizes, method)
    low = value - math.hypot(first.value - first.low, second.high - second.value)
    high = value + math.hypot(first.high - first.value, second.value - second.low)
    behind = " and ".join(dict.fromkeys([first.method, second.method]))
    return Difference(value, low, high, *sizes, f"MOVER of independent samples, from {behind}")


def p_value(difference: Difference, confidence: float) -> float | None:
    """Two-sided, of "there is no difference": from the side of the interval that looks towards zero.

    It is below 1 - confidence exactly where the interval leaves zero out; None without an interval. Normal theory on
    each side: beyond the interval's own confidence it is an approximation.
    """
    if difference.low is None or difference.high is None:
        return None
    half = difference.value - difference.low if difference.value > 0 else difference.high - difference.value
    if half == 0:  # the score can't lie any nearer to zero
        return 0.0 if difference.value else 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2) * abs(difference.value) / half
    return math.erfc(z / math.sqrt(2))
