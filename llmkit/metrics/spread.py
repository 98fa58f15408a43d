"""The same training under several seeds: mean, spread, and Student's interval for the mean.

    over_seeds([0.871, 0.864, 0.880], n=1200)     # Score(0.872, 0.852, 0.892, 1200, ...), Spread(0.008, 0.864, 0.880)

The interval is for the mean over all seeds, on these test rows: it knows nothing of other rows, as the interval of
one seed's score knows nothing of other seeds. With two or three seeds it is wide (Student's factor is 12.7 and 4.3),
and rightly so: two or three numbers say little about how much such numbers vary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import Any

from llmkit.metrics.intervals import format_percent
from llmkit.metrics.score import Score

__all__ = ["Spread", "summarize_seeds", "t_quantile"]

HALVINGS = 60  # of an angle below 2: the rest is below one rounding step


@dataclass(frozen=True)
class Spread:
    """How far the seeds lie apart; sd is the sample standard deviation (n - 1)."""

    sd: float
    min: float
    max: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def summarize_seeds(
    values: Sequence[float],
    *,
    n: int,
    confidence: float = 0.95,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> tuple[Score, Spread]:
    """The mean of at least two seeds' scores, and their spread. n is the number of test examples.

    limits are the least and the greatest value that the score can have: the interval ends there.
    """
    centre, sd, count = mean(values), stdev(values), len(values)
    half = t_quantile((1 + confidence) / 2, count - 1) * sd / math.sqrt(count)
    method = f"mean of {count} seeds, t interval {format_percent(confidence)} over seeds"
    method += "; test rows are the same for all"
    if sd == 0:
        method += "; every seed scores the same"
    low, high = max(centre - half, limits[0]), min(centre + half, limits[1])
    found = Score(centre, min(low, centre), max(high, centre), n, method)
    return found, Spread(sd, min(values), max(values))


def t_quantile(probability: float, freedom: int) -> float:
    """The quantile of Student's t, for a probability in [0.5, 1) and whole degrees of freedom.

    By halving the angle atan(t / sqrt(freedom)), in which the distribution is a finite sum.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < 2 * probability - 1 else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _within(angle: float, freedom: int) -> float:
    """P(|T| <= t) at angle = atan(t / sqrt(freedom)); Abramowitz and Stegun 1964, 26.7.3 and 26.7.4."""
    sine, square = math.sin(angle), math.cos(angle) ** 2
    odd = freedom % 2
    term = sine * (math.cos(angle) if odd else 1.0)
    total = 0.0
    for k in range(2 + odd, freedom + 1, 2):
        total += term
        term *= square * (k - 1) / k
    return 2 / math.pi * (angle + total) if odd else total
