"""The difference of two scores from samples without a common example, computed from their intervals alone.

    difference(in_domain, other_corpus)      # in-domain minus other corpus, with an interval

It compares a model's score on its own test set with its score on another corpus. For two systems on the same examples
`paired` is much more sensitive.

MOVER (method of variance estimates recovery) recovers from each interval how far the score may lie on either side of
its value, and adds the two distances in squares. For proportions with Wilson intervals it is Newcombe's hybrid score
interval. Skewed intervals stay skewed, and the method needs only independence and two intervals of equal confidence.

An interval of zero width (a bootstrap in which every resample scores the same, as on a few examples without an error)
does not say how far the score may lie from its value, so the difference has no interval either.

Source: Zou and Donner (2008), Statistics in Medicine 27; Newcombe (1998), Statistics in Medicine 17, method 10.
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
    """First minus second score; low and high are None if one of the two has no interval, or one of zero width."""

    value: float
    low: float | None
    high: float | None
    first_n: int
    second_n: int
    method: str

    @property
    def excludes_zero(self) -> bool:
        """Whether there is an interval and it does not contain zero."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high

    def to_json(self) -> dict[str, Any]:
        """Return the difference as the JSON object used in reports and on the command line."""
        return asdict(self)


def difference(first: Score, second: Score) -> Difference:
    """Compute first minus second; the interval has the confidence of the two scores' intervals."""
    value, sizes = first.value - second.value, (first.n, second.n)
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return Difference(value, None, None, *sizes, "no interval: one of the two scores has none")
    if first.low == first.high or second.low == second.high:
        method = "no interval: that of one of the two scores has no width"
        return Difference(value, None, None, *sizes, method)
    low = value - math.hypot(first.value - first.low, second.high - second.value)
    high = value + math.hypot(first.high - first.value, second.value - second.low)
    methods = " and ".join(dict.fromkeys([first.method, second.method]))
    return Difference(value, low, high, *sizes, f"MOVER of independent samples, from {methods}")


def p_value(difference: Difference, confidence: float) -> float | None:
    """Compute the two-sided p-value of "there is no difference" from the side of the interval that faces zero.

    It is below 1 - confidence exactly if the interval excludes zero. Normal theory on each side: beyond the interval's
    own confidence it is an approximation.

    Args:
        difference: The difference with its interval.
        confidence: Coverage of that interval.

    Returns:
        The p-value; None without an interval.
    """
    if difference.low is None or difference.high is None:
        return None
    half = difference.value - difference.low if difference.value > 0 else difference.high - difference.value
    if half == 0:  # the score cannot lie any nearer to zero
        return 0.0 if difference.value else 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2) * abs(difference.value) / half
    return math.erfc(z / math.sqrt(2))
