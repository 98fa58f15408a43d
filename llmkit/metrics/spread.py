"""The same training with several seeds: mean score, spread, and a confidence interval for the mean.

    summarize_seeds([0.871, 0.864, 0.880], n=1200)   # (Score(0.872, 0.852, 0.892, ...), Spread(0.008, 0.864, 0.880))

The interval (Student's t) is for the mean over all seeds on this test set. It does not cover other test sets, as the
interval of one seed's score does not cover other seeds. With two or three seeds it is wide (Student's factor is 12.7
and 4.3): two or three numbers say little about how much such numbers vary.
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

HALVINGS = 60  # of an angle below 2: what is left is below one rounding step


@dataclass(frozen=True)
class Spread:
    """Spread of a score over seeds; sd is the sample standard deviation (n - 1)."""

    sd: float
    min: float
    max: float

    def to_json(self) -> dict[str, Any]:
        """Return the spread as a JSON object."""
        return asdict(self)


def summarize_seeds(
    values: Sequence[float],
    *,
    n: int,
    confidence: float = 0.95,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> tuple[Score, Spread]:
    """Compute the mean of the scores of at least two seeds with its interval, and their spread.

    Args:
        values: The score of each seed.
        n: Number of test examples.
        confidence: Coverage of the interval.
        limits: Least and greatest possible value of the score; the interval is clipped to them.
    """
    centre, sd, count = mean(values), stdev(values), len(values)
    half = t_quantile((1 + confidence) / 2, count - 1) * sd / math.sqrt(count)
    method = f"mean of {count} seeds, t interval {format_percent(confidence)} over seeds"
    method += "; test rows are the same for all"
    if sd == 0:
        method += "; every seed scores the same"
    low, high = max(centre - half, limits[0]), min(centre + half, limits[1])
    score = Score(centre, min(low, centre), max(high, centre), n, method)
    return score, Spread(sd, min(values), max(values))


def t_quantile(probability: float, freedom: int) -> float:
    """Compute a quantile of Student's t distribution by bisecting the angle atan(t / sqrt(freedom)).

    Args:
        probability: Probability in [0.5, 1).
        freedom: Degrees of freedom, a whole number.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_probability(middle, freedom) < 2 * probability - 1 else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _t_probability(angle: float, freedom: int) -> float:
    """Compute P(|T| <= t) at angle = atan(t / sqrt(freedom)), a finite sum.

    Source: Abramowitz and Stegun (1964), Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    sine, square = math.sin(angle), math.cos(angle) ** 2
    odd = freedom % 2
    term = sine * (math.cos(angle) if odd else 1.0)
    total = 0.0
    for k in range(2 + odd, freedom + 1, 2):
        total += term
        term *= square * (k - 1) / k
    return 2 / math.pi * (angle + total) if odd else total
