"""Do 95% intervals hold the true value 95 times in 100? By simulation, from populations whose true score is known.

Coverage is printed for 30, 100 and 400 examples; what lies below 94% is marked, and llmkit/metrics/intervals.py says
it. Over 1000 simulations the coverage itself is known to about +- 1.4 points.

Usage: python bench/coverage.py [--simulations 1000]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from llmkit.metrics import intervals
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Floats, Metric, Score, ratio
from llmkit.metrics.tasks import classification
from llmkit.metrics.tasks.regression import METRICS as OF_NUMBERS

__all__ = ["SETTINGS", "coverage"]

SIZES = (30, 100, 400)
LOW = 0.94
DRAWS = 1000  # of each bootstrap

SHARE = 0.8
JOINT_CC = np.array(
    [[0.48, 0.09, 0.03], [0.05, 0.23, 0.02], [0.02, 0.02, 0.06]]
)  # gold rows, predicted columns
CORRELATION = 0.7
QUESTIONS = 5  # on each passage

Setting = Callable[
    [np.random.Generator, int], tuple[Score, float]
]  # (generator, examples) -> score, true value


def wilson_share(rng: np.random.Generator, n: int) -> tuple[Score, float]:
    return intervals.wilson_score(int(rng.binomial(n, SHARE)), n), SHARE


def skewed_mean(rng: np.random.Generator, n: int) -> tuple[Score, float]:
    """Of a log-normal loss, whose skewness is 6."""
    return intervals.mean(
        rng.lognormal(size=n), resampling=Resampling(resamples=DRAWS, seed=_seed(rng))
    ), float(np.exp(0.5))


def macro_f1(rng: np.random.Generator, n: int) -> tuple[Score, float]:
    """Of three classes, one of them rare (10 %)."""
    cells = rng.choice(9, n, p=JOINT_CC.ravel())
    gold, predicted = np.divmod(cells, 3)
    sample, metric = classification.count_cells(gold, predicted, 3), classification.METRICS["f1"]
    true = 2 * JOINT_CC.diagonal() / (JOINT_CC.sum(0) + JOINT_CC.sum(1))
    return intervals.measure(sample, [metric], resampling=Resampling(resamples=DRAWS, seed=_seed(rng)))[
        "f1"
    ], float(true.mean())


def pearson(rng: np.random.Generator, n: int) -> tuple[Score, float]:
    x, noise = rng.normal(size=(2, n))
    y = CORRELATION * x + np.sqrt(1 - CORRELATION**2) * noise
    metric = OF_NUMBERS["pearson"]
    assert isinstance(metric, Metric)
    rows = np.column_stack([x, y, x * x, y * y, x * y, abs(x - y), (x - y) ** 2, np.ones(n)])
    return intervals.measure(rows, [metric], resampling=Resampling(resamples=DRAWS, seed=_seed(rng)))[
        "pearson"
    ], CORRELATION


def clustered_share(rng: np.random.Generator, n: int) -> tuple[Score, float]:
    """Five questions on each passage, some passages being easy (correlation 0.2): whole passages are drawn."""
    hits, groups = _questions(rng, n)
    rows, metric = np.column_stack([hits, np.ones(n)]), Metric("share", _mean, share=True)
    found = intervals.measure(
        rows, [metric], groups=groups, resampling=Resampling(resamples=DRAWS, seed=_seed(rng))
    )
    return found["share"], SHARE


def share_as_if_alone(rng: np.random.Generator, n: int) -> tuple[Score, float]:
    """The same questions, each taken for one of its own: what goes wrong without groups."""
    hits, _ = _questions(rng, n)
    return intervals.wilson_score(int(hits.sum()), n), SHARE


SETTINGS: dict[str, Setting] = {
    "Wilson, share of 0.8": wilson_share,
    "BCa, mean of log-normal": skewed_mean,
    "BCa, macro F1, 3 classes": macro_f1,
    "BCa, Pearson of 0.7": pearson,
    "BCa, share, clusters of 5": clustered_share,
    "(the same without groups)": share_as_if_alone,
}


def coverage(setting: Setting, n: int, simulations: int, seed: int = 0) -> float:
    """The share of intervals that hold the true value; none at all does not."""
    rng, held = np.random.default_rng([seed, n]), 0
    for _ in range(simulations):
        score, true = setting(rng, n)
        held += score.low is not None and score.high is not None and score.low <= true <= score.high
    return held / simulations


def _questions(rng: np.random.Generator, n: int) -> tuple[Floats, np.ndarray]:
    """Hits (n,) and passages (n,); a passage's share of hits is beta-distributed with mean 0.8."""
    groups = np.arange(n) // QUESTIONS
    easy = rng.beta(4 * SHARE, 4 * (1 - SHARE), groups[-1] + 1)  # correlation 1 / (4 + 1)
    return (rng.random(n) < easy[groups]).astype(np.float64), groups


def _mean(sums: Floats) -> Floats:
    return ratio(sums[..., 0], sums[..., 1])


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 31))


def main(simulations: int) -> None:
    begun = time.perf_counter()
    print(f"Coverage of 95% intervals, {simulations} simulations each (* below {LOW:.0%})\n")
    print(f"| {'Interval':26} |" + "|".join(f" n = {n:<4}" for n in SIZES) + "|")
    print("| --- |" + " --: |" * len(SIZES))
    for name, setting in SETTINGS.items():
        found = [coverage(setting, n, simulations) for n in SIZES]
        cells = "|".join(f" {100 * share:.1f}{'*' if share < LOW else ' '} " for share in found)
        print(f"| {name:26} |{cells}|", flush=True)
    print(f"\n{time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--simulations", type=int, default=1000)
    main(parser.parse_args().simulations)
