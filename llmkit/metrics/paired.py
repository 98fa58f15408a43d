"""Two systems on the same examples: is one better, by how much, and could this test set tell?

    pairs = np.hstack([first, second])          # (N, 2 K): each example's statistics under both systems
    verdict(difference(pairs, metric), "the model", "TF-IDF")

Both systems are scored on the same draws, so what makes an example easy for both cancels out: the interval of
the difference is much narrower than two intervals side by side suggest. Metrics of an order (Spearman, PR-AUC)
have `rank_difference`, which ranks every draw and every swap anew. The limits of `intervals` hold here
too: clusters that are not given as `groups` and fewer than about ten disagreements make it too sure, and the
noise of training seeds is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from llmkit.metrics import clusters
from llmkit.metrics.clusters import BLOCK
from llmkit.metrics.intervals import (
    NORMAL,
    ROUNDING,
    Sample,
    ScoreFunction,
    as_rows,
    bootstrap,
    format_percent,
    measure_ranks,
    merge_equal_rows,
)
from llmkit.metrics.resampling import DEFAULT_RESAMPLING, Resampling
from llmkit.metrics.score import Floats, Ints, Metric, RankMetric, Score, ratio

__all__ = [
    "Difference",
    "describe_difference",
    "difference",
    "examples_needed",
    "holm",
    "mcnemar",
    "rank_difference",
]

POWER = 0.8  # chance to find a difference that is there
MOST_NEEDED = 1_000_000  # beyond, a sentence gives no number
EXACT_BELOW = 25  # discordant pairs from which the chi-square approximation is good


@dataclass(frozen=True)
class Difference:
    """First minus second on n common examples, its interval, and the p-value of "there is no difference".

    higher_is_better and point are the metric's (see `score.Metric`): what `verdict` needs to put it in words.
    examples_needed: how many examples like these would show a difference of this size with POWER; None for none.
    """

    metric: str
    value: float
    low: float | None
    high: float | None
    n: int
    confidence: float
    p_value: float
    method: str
    higher_is_better: bool = True
    point: float | None = 0.01
    examples_needed: int | None = None


def difference(
    pairs: Floats | Sample,
    metric: Metric,
    *,
    groups: Ints | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> Difference:
    """The paired bootstrap of metric(first) - metric(second), from statistics (N, 2 K) side by side.

    p_value: McNemar's test for shares, else approximate randomization (Noreen 1989; Yeh 2000): how often a
    difference at least as large appears when each example's two outputs are swapped at random. With groups (N,)
    whole groups are drawn and swapped, for shares too; n counts examples all the same.
    """
    if groups is not None:
        sums = clusters.sum_by_group(as_rows(pairs), groups)
        together = difference(sums, replace(metric, share=False), resampling=resampling)
        needed = together.examples_needed
        return replace(
            together,
            n=len(groups),
            method=clusters.describe_clusters(together.method, len(sums)),
            examples_needed=needed and math.ceil(needed * len(groups) / len(sums)),
        )
    sample, needed = merge_equal_rows(pairs), None
    if metric.share:
        first, second = _hits(sample, metric)
        needed = examples_needed(first, second, confidence=resampling.confidence)
        p_value, test = mcnemar(first, second), "McNemar's test"
        one = np.ones(len(first))
        sample, score = merge_equal_rows(np.column_stack([first, one, second, one])), _gap(_hit_rate)
    else:
        p_value, test = _swap_p_value(sample, metric, resampling), f"{resampling.resamples} random swaps"
        score = _gap(metric.score)
    found = bootstrap(sample, score, resampling=resampling)
    measured = _difference(found, metric, resampling.confidence, p_value, test)
    return replace(measured, examples_needed=needed) if metric.share else measured


def rank_difference(
    pairs: Floats | Sample,
    metric: RankMetric,
    *,
    groups: Ints | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> Difference:
    """`difference` for a metric of an order, from examples (N, 2 K): the first system's columns, the second's.

    A swap mixes the two systems' outputs in one order, so they must be on one scale: give each system's ranks
    (`ranking.midranks`) instead of its outputs. 2000 draws and swaps of 1,500 examples take about 1 s for Spearman.
    """
    examples = merge_equal_rows(pairs) if groups is None else as_rows(pairs)

    def gap(rows: Floats, weights: Floats) -> Floats:
        first, second = np.split(rows, 2, axis=1)
        return metric.score(first, weights) - metric.score(second, weights)

    named = RankMetric(metric.name, gap)
    found = measure_ranks(examples, [named], groups=groups, resampling=resampling)[metric.name]
    p_value = _rank_swap_p_value(examples, metric, groups, resampling)
    return _difference(found, metric, resampling.confidence, p_value, f"{resampling.resamples} random swaps")


def mcnemar(first_correct: NDArray[np.bool_], second_correct: NDArray[np.bool_]) -> float:
    """The two-sided p-value of "both are right equally often", from hits and misses (N,); McNemar 1947.

    Exact binomial below 25 examples on which they disagree, else chi-square with continuity correction.
    """
    only_first, only_second = _discordant(first_correct, second_correct)
    n = only_first + only_second
    if n < EXACT_BELOW:
        tail = sum(math.comb(n, k) for k in range(min(only_first, only_second) + 1))
        return min(1.0, float(2 * tail / 2**n))
    chi_square = max(0, abs(only_first - only_second) - 1) ** 2 / n
    return float(math.erfc(math.sqrt(chi_square / 2)))  # upper tail with one degree of freedom


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for testing all of them (Holm 1979), in the order given."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def examples_needed(
    first_correct: NDArray[np.bool_],
    second_correct: NDArray[np.bool_],
    *,
    confidence: float = 0.95,
    power: float = POWER,
) -> int | None:
    """Test examples with which McNemar's test would find the observed difference in accuracy with that power.

    Connor (1987), Biometrics 43, from the observed share of disagreements. None when there is no difference
    to find. The observed difference is itself uncertain, so read the result as an order of magnitude.
    """
    only_first, only_second = _discordant(first_correct, second_correct)
    if only_first == only_second:
        return None
    n = len(first_correct)
    disagree, gap = (only_first + only_second) / n, (only_first - only_second) / n
    z_error, z_power = NORMAL.inv_cdf((1 + confidence) / 2), NORMAL.inv_cdf(power)
    return math.ceil((z_error * math.sqrt(disagree) + z_power * math.sqrt(disagree - gap**2)) ** 2 / gap**2)


def describe_difference(difference: Difference, first_name: str, second_name: str) -> str:
    """One plain sentence: which is better and by how much, in points or in the metric's own unit.

    Names stand as given, inside a sentence: "the model", "TF-IDF".
    """
    if difference.low is None or difference.high is None:
        examples = "1 example" if difference.n == 1 else f"{difference.n} examples"
        return f"This test set ({examples}) is too small to compare {first_name} with {second_name}."
    if difference.low <= 0 <= difference.high:
        return (
            f"The interval covers zero: this test set ({difference.n} examples) does not show that "
            f"{first_name} is better than {second_name}.{_would_show(difference)}"
        )
    word = "better" if (difference.low > 0) == difference.higher_is_better else "worse"
    value, low, high = _in_words(difference)
    return (
        f"{_sentence_start(first_name)} is {word} than {second_name} "
        f"by {value} of {difference.metric} "
        f"({format_percent(difference.confidence)} interval {low} to {high})."
    )


def _difference(
    found: Score, metric: Metric | RankMetric, confidence: float, p_value: float, test: str
) -> Difference:
    return Difference(
        metric.name,
        found.value,
        found.low,
        found.high,
        found.n,
        confidence,
        p_value,
        f"paired {found.method}; p by {test}" if found.low is not None else found.method,
        metric.higher_is_better,
        metric.point,
        _needed(found, confidence),
    )


def _needed(found: Score, confidence: float) -> int | None:
    """As `examples_needed` for any metric, from the bootstrap's standard error, which falls with the root of n.

    The standard error is taken from the interval: its width at this confidence.
    """
    if found.low is None or found.high is None or found.value == 0 or found.low == found.high:
        return None
    z_error, z_power = NORMAL.inv_cdf((1 + confidence) / 2), NORMAL.inv_cdf(POWER)
    standard_error = (found.high - found.low) / (2 * z_error)
    return math.ceil(found.n * ((z_error + z_power) * standard_error / found.value) ** 2)


def _would_show(difference: Difference) -> str:
    """How far this test set is from showing a difference of the size that it has here."""
    needed = difference.examples_needed
    if needed is None:
        return ""
    if needed > MOST_NEEDED:
        return f" To see a difference as small as here in {difference.metric} takes more than a million examples."
    size = 10 ** max(0, len(str(needed)) - 2)  # two digits: the size of the difference is itself uncertain
    about = f"{math.ceil(needed / size) * size:,}"
    return f" To see a difference as here in {difference.metric} takes about {about} examples."


def _hits(sample: Sample, metric: Metric) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Hits and misses (N,) of both systems: a share of one example's statistics is 0 or 1.

    They are all that a share needs, and leave at most four distinct rows, whatever the number of classes.
    """
    first, second = (metric.score(rows) > 0.5 for rows in np.split(sample.rows, 2, axis=1))
    return np.repeat(first, sample.counts), np.repeat(second, sample.counts)


def _hit_rate(sums: Floats) -> Floats:
    """From (hits, examples)."""
    return ratio(sums[..., 0], sums[..., 1])


def _gap(score: ScoreFunction) -> ScoreFunction:
    """score(first half of the sums) - score(second half)."""

    def gap(sums: Floats) -> Floats:
        first, second = np.split(sums, 2, axis=-1)
        return score(first) - score(second)

    return gap


def _swap_p_value(sample: Sample, metric: Metric, resampling: Resampling) -> float:
    """The share of random swaps with a difference at least as large; the observed order counts as one."""
    first, second = np.split(sample.total, 2)
    left, right = np.split(sample.rows, 2, axis=1)
    differs = (left != right).any(axis=1)  # a swap of equal rows changes nothing
    change, counts = (left - right)[differs], sample.counts[differs]
    observed = abs(float(metric.score(first) - metric.score(second)))
    rng, size, extreme = np.random.default_rng(resampling.seed), max(1, BLOCK // max(1, len(counts))), 0
    for start in range(0, resampling.resamples, size):
        shift = _swapped(rng, counts, min(size, resampling.resamples - start)) @ change
        found = metric.score(first - shift) - metric.score(second + shift)
        extreme += int((np.abs(found) >= observed - ROUNDING).sum())
    return (1 + extreme) / (1 + resampling.resamples)


def _swapped(rng: np.random.Generator, counts: Ints, size: int) -> Floats:
    """How many of each distinct row's examples are swapped, (size, D), each with probability 1/2."""
    bits = np.frombuffer(rng.bytes(size * -(-len(counts) // 8)), np.uint8).reshape(size, -1)
    swapped = np.unpackbits(bits, axis=1, count=len(counts)).astype(np.float64)
    several = np.flatnonzero(counts > 1)
    swapped[:, several] = rng.binomial(counts[several], 0.5, (size, len(several)))
    return swapped


def _rank_swap_p_value(
    examples: Floats | Sample, metric: RankMetric, groups: Ints | None, resampling: Resampling
) -> float:
    """As `_swap_p_value`: both systems' examples below each other, and weights that say whose outputs count.

    Swaps without a score count as extreme: there p says nothing.
    """
    if groups is None:  # D distinct rows, each swapped as often as it stands
        sample = merge_equal_rows(examples)
        swaps, unit_D = sample.counts, np.arange(len(sample.counts))
    else:  # all rows, and one swap for all of a group
        sample = Sample(as_rows(examples), np.ones(len(groups), np.int64))
        names, unit_D = np.unique(groups, return_inverse=True)
        swaps = np.ones(len(names), np.int64)
    both = np.vstack(np.split(sample.rows, 2, axis=1))  # (2 D, K)
    kept = sample.counts.astype(np.float64)

    def gap(swapped: Floats) -> Floats:  # (R, D) -> (R,)
        own, other = np.hstack([kept - swapped, swapped]), np.hstack([swapped, kept - swapped])
        return metric.score(both, own) - metric.score(both, other)

    observed = abs(float(gap(np.zeros((1, len(kept))))[0]))
    rng, size, extreme = np.random.default_rng(resampling.seed), max(1, BLOCK // max(1, 2 * len(kept))), 0
    for start in range(0, resampling.resamples, size):
        swapped = rng.binomial(swaps, 0.5, (min(size, resampling.resamples - start), len(swaps)))[:, unit_D]
        extreme += int((~(np.abs(gap(swapped.astype(np.float64))) < observed - ROUNDING)).sum())
    return (1 + extreme) / (1 + resampling.resamples)


def _discordant(first_correct: NDArray[np.bool_], second_correct: NDArray[np.bool_]) -> tuple[int, int]:
    """Examples that only the first gets right, and only the second."""
    first, second = np.asarray(first_correct, dtype=bool), np.asarray(second_correct, dtype=bool)
    return int((first & ~second).sum()), int((second & ~first).sum())


def _sentence_start(name: str) -> str:
    """Only an article takes a capital: a system's own name is left as it is."""
    return "The " + name[4:] if name.startswith("the ") else name


def _in_words(difference: Difference) -> tuple[str, str, str]:
    """The size of the difference and the ends of its interval: "3.1 points", "0.8", "5.4".

    In the metric's own unit, two digits of the difference: "0.31", "0.20", "0.42".
    """
    assert difference.low is not None and difference.high is not None
    low, high = sorted([abs(difference.low), abs(difference.high)])
    size, unit, decimals = abs(difference.value), 1.0, 1
    if difference.point is None:
        decimals = max(0, 1 - math.floor(math.log10(size)))
    else:
        unit = 1 / difference.point
    value, *ends = (f"{unit * number:.{decimals}f}" for number in (size, low, high))
    return f"{value} points" if difference.point else value, ends[0], ends[1]
