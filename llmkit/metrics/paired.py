"""Compare two systems on the same examples: the difference of a score, its interval, and a p-value.

    pairs = np.hstack([first, second])          # (N, 2 K): statistics of each example under both systems
    describe_difference(difference(pairs, metric), "the model", "TF-IDF")

Both systems are scored on the same resamples, so what makes an example easy for both cancels out: the interval of the
difference is much narrower than the two intervals side by side suggest. `rank_difference` is for metrics that depend
on the order of the examples (Spearman, PR-AUC); it ranks each resample and each swap anew.

The limits of `intervals` hold here too: clusters that are not passed as `groups`, or fewer than about ten
disagreements, make the result look more certain than it is. The variation between training seeds is not included.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from llmkit.metrics.clusters import BLOCK, describe_clusters, sum_by_group
from llmkit.metrics.intervals import (
    NORMAL,
    ROUNDING,
    Sample,
    as_rows,
    bootstrap,
    format_percent,
    measure_ranks,
    merge_equal_rows,
)
from llmkit.metrics.resampling import DEFAULT_RESAMPLING, Resampling
from llmkit.metrics.score import Floats, Ints, Metric, RankMetric, Score, ScoreFunction, column_ratio

__all__ = [
    "Difference",
    "describe_difference",
    "difference",
    "examples_needed",
    "holm",
    "mcnemar",
    "rank_difference",
]

POWER = 0.8  # probability of finding a difference that exists
MOST_NEEDED = 1_000_000  # largest number of needed examples that a sentence states
EXACT_BELOW = 25  # discordant pairs from which the chi-square approximation of McNemar's test is good


@dataclass(frozen=True)
class Difference:
    """First minus second score of two systems on the same examples.

    Args:
        metric: Name of the metric.
        value: Score of the first system minus score of the second.
        low: Lower end of the interval, None without one.
        high: Upper end of the interval, None without one.
        n: Number of examples.
        confidence: Coverage of the interval.
        p_value: Two-sided p-value of "there is no difference".
        method: How interval and p-value were computed.
        higher_is_better: As in `score.Metric`.
        point: As in `score.Metric`.
        examples_needed: Number of similar examples that would show a difference of this size with probability POWER;
            None if there is no difference.
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
    """Compute metric(first) - metric(second) with a paired bootstrap interval and a p-value.

    The p-value is McNemar's for proportions. For all other metrics it comes from approximate randomization: how often
    a difference at least as large appears when the two outputs of each example are swapped at random.

    Args:
        pairs: Statistics of both systems side by side, (N, 2 K), or merged rows (only without groups).
        metric: The metric of one system's statistics (K).
        groups: Group of each example, (N,). Whole groups are resampled and swapped, for proportions too; `n` is the
            number of examples all the same.
        resampling: Confidence, number of resamples and swaps, and seed.

    Source: Noreen (1989), Computer-Intensive Methods for Testing Hypotheses; Yeh (2000), More accurate tests for the
    statistical significance of result differences.
    """
    if groups is not None:
        sums = sum_by_group(as_rows(pairs), groups)
        by_group = difference(sums, replace(metric, share=False), resampling=resampling)
        needed = by_group.examples_needed
        return replace(
            by_group,
            n=len(groups),
            method=describe_clusters(by_group.method, len(sums)),
            examples_needed=needed and math.ceil(needed * len(groups) / len(sums)),
        )
    sample, needed = merge_equal_rows(pairs), None
    if metric.share:
        # Hits and misses (N,) are all that a proportion needs; they leave at most four distinct rows.
        hits = [metric.score(rows) > 0.5 for rows in np.split(sample.rows, 2, axis=1)]
        first, second = (np.repeat(each, sample.counts) for each in hits)
        needed = examples_needed(first, second, confidence=resampling.confidence)
        p_value, test = mcnemar(first, second), "McNemar's test"
        one = np.ones(len(first))
        sample = merge_equal_rows(np.column_stack([first, one, second, one]))
        gap = _gap(column_ratio(0, 1))
    else:
        p_value, test = _swap_p_value(sample, metric, resampling), f"{resampling.resamples} random swaps"
        gap = _gap(metric.score)
    result = bootstrap(sample, gap, resampling=resampling)
    described = _make_difference(result, metric, resampling.confidence, p_value, test)
    return replace(described, examples_needed=needed) if metric.share else described


def rank_difference(
    pairs: Floats | Sample,
    metric: RankMetric,
    *,
    groups: Ints | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> Difference:
    """Compute metric(first) - metric(second) for a metric that depends on the order of the examples.

    A swap mixes the outputs of the two systems in one order, so they must be on one scale: pass the ranks of each
    system's outputs (`ranking.midranks`) instead of the outputs. 2000 resamples and swaps of 1,500 examples take about
    1 s for Spearman.

    Args:
        pairs: Examples (N, 2 K), the columns of the first system before those of the second.
        metric: The metric of one system's columns (K).
        groups: Group of each example, (N,), as in `difference`.
        resampling: Confidence, number of resamples and swaps, and seed.
    """
    examples = merge_equal_rows(pairs) if groups is None else as_rows(pairs)

    def gap(rows: Floats, weights: Floats) -> Floats:
        first, second = np.split(rows, 2, axis=1)
        return metric.score(first, weights) - metric.score(second, weights)

    gap_metric = RankMetric(metric.name, gap)
    score = measure_ranks(examples, [gap_metric], groups=groups, resampling=resampling)[metric.name]
    p_value = _rank_swap_p_value(examples, metric, groups, resampling)
    test = f"{resampling.resamples} random swaps"
    return _make_difference(score, metric, resampling.confidence, p_value, test)


def mcnemar(first_correct: NDArray[np.bool_], second_correct: NDArray[np.bool_]) -> float:
    """Return the two-sided p-value of "both systems are correct equally often".

    Exact binomial below 25 examples on which the systems disagree, else chi-square with continuity correction.

    Args:
        first_correct: Whether the first system is correct, (N,).
        second_correct: Whether the second system is correct, (N,).

    Source: McNemar (1947), Psychometrika 12.
    """
    only_first, only_second = _discordant(first_correct, second_correct)
    n = only_first + only_second
    if n < EXACT_BELOW:
        tail = sum(math.comb(n, k) for k in range(min(only_first, only_second) + 1))
        return min(1.0, float(2 * tail / 2**n))
    chi_square = max(0, abs(only_first - only_second) - 1) ** 2 / n
    return float(math.erfc(math.sqrt(chi_square / 2)))  # upper tail with one degree of freedom


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for multiple testing, in the order given.

    Source: Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure.
    """
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
    """Estimate how many test examples McNemar's test needs to find the observed difference in accuracy.

    The observed difference is itself uncertain, so read the result as an order of magnitude.

    Args:
        first_correct: Whether the first system is correct, (N,).
        second_correct: Whether the second system is correct, (N,).
        confidence: One minus the significance level of the test.
        power: Probability of finding the difference.

    Returns:
        Number of examples; None if there is no difference to find.

    Source: Connor (1987), Biometrics 43, from the observed share of disagreements.
    """
    only_first, only_second = _discordant(first_correct, second_correct)
    if only_first == only_second:
        return None
    n = len(first_correct)
    disagree, gap = (only_first + only_second) / n, (only_first - only_second) / n
    z_error, z_power = NORMAL.inv_cdf((1 + confidence) / 2), NORMAL.inv_cdf(power)
    return math.ceil((z_error * math.sqrt(disagree) + z_power * math.sqrt(disagree - gap**2)) ** 2 / gap**2)


def describe_difference(difference: Difference, first_name: str, second_name: str) -> str:
    """Say in one sentence which system is better and by how much.

    Args:
        difference: The difference, first minus second.
        first_name: Name of the first system as it stands inside a sentence, such as "the model".
        second_name: Name of the second system, such as "TF-IDF".
    """
    if difference.low is None or difference.high is None:
        examples = "1 example" if difference.n == 1 else f"{difference.n} examples"
        return f"This test set ({examples}) is too small to compare {first_name} with {second_name}."
    if difference.low <= 0 <= difference.high:
        did_worse = difference.value != 0 and (difference.value > 0) != difference.higher_is_better
        direction = f" On these examples {first_name} did worse." if did_worse else ""
        return (
            f"The {format_percent(difference.confidence)} CI of the difference covers zero: this test set "
            f"({difference.n} examples) does not show that {first_name} is better than {second_name}."
            f"{direction}{_describe_examples_needed(difference)}"
        )
    word = "better" if (difference.low > 0) == difference.higher_is_better else "worse"
    low, high = sorted([abs(difference.low), abs(difference.high)])
    size, unit, decimals = abs(difference.value), 1.0, 1
    if (
        difference.point is None
    ):  # the metric's own unit, with two digits of the difference: "0.31", "0.20", "0.42"
        decimals = max(0, 1 - math.floor(math.log10(size)))
    else:  # points: "3.1", "0.8", "5.4"
        unit = 1 / difference.point
    value, *ends = (f"{unit * number:.{decimals}f}" for number in (size, low, high))
    # Only an article is capitalized; the name of a system stays as it is.
    subject = "The " + first_name[4:] if first_name.startswith("the ") else first_name
    return (
        f"{subject} is {word} than {second_name} "
        f"by {value} {'points of' if difference.point else 'in'} {difference.metric} "
        f"({format_percent(difference.confidence)} CI {ends[0]} to {ends[1]})."
    )


def _describe_examples_needed(difference: Difference) -> str:
    """Say how many test examples would show a difference of the observed size, if that is known."""
    needed = difference.examples_needed
    if needed is None:
        return ""
    if needed > MOST_NEEDED:
        return f" Showing a difference this small in {difference.metric} takes more than a million examples."
    size = 10 ** max(0, len(str(needed)) - 2)  # two digits: the size of the difference is itself uncertain
    about = f"{math.ceil(needed / size) * size:,}"
    return f" Showing a difference of this size in {difference.metric} takes about {about} examples."


def _make_difference(
    score: Score, metric: Metric | RankMetric, confidence: float, p_value: float, test: str
) -> Difference:
    """Make a `Difference` from the score of the gap.

    The number of examples needed comes from the bootstrap's standard error, which falls with the square root of n and
    is the width of the interval divided by that of a standard normal at this confidence.
    """
    needed = None
    if score.low is not None and score.high is not None and score.value != 0 and score.low != score.high:
        z_error, z_power = NORMAL.inv_cdf((1 + confidence) / 2), NORMAL.inv_cdf(POWER)
        standard_error = (score.high - score.low) / (2 * z_error)
        needed = math.ceil(score.n * ((z_error + z_power) * standard_error / score.value) ** 2)
    return Difference(
        metric.name,
        score.value,
        score.low,
        score.high,
        score.n,
        confidence,
        p_value,
        f"paired {score.method}; p by {test}" if score.low is not None else score.method,
        metric.higher_is_better,
        metric.point,
        needed,
    )


def _gap(score: ScoreFunction) -> ScoreFunction:
    """Make a function of sums (..., 2 K): the score of the first half minus the score of the second."""

    def gap(sums: Floats) -> Floats:
        first, second = np.split(sums, 2, axis=-1)
        return score(first) - score(second)

    return gap


def _swap_p_value(sample: Sample, metric: Metric, resampling: Resampling) -> float:
    """Return the share of random swaps with a difference at least as large; the observed order counts as one."""
    first, second = np.split(sample.total, 2)
    left, right = np.split(sample.rows, 2, axis=1)
    differs = (left != right).any(axis=1)  # swapping equal rows changes nothing
    change, counts = (left - right)[differs], sample.counts[differs]
    observed = abs(float(metric.score(first) - metric.score(second)))
    rng, size, extreme = np.random.default_rng(resampling.seed), max(1, BLOCK // max(1, len(counts))), 0
    for start in range(0, resampling.resamples, size):
        shift = _draw_swaps(rng, counts, min(size, resampling.resamples - start)) @ change
        gaps = metric.score(first - shift) - metric.score(second + shift)
        extreme += int((np.abs(gaps) >= observed - ROUNDING).sum())
    return (1 + extreme) / (1 + resampling.resamples)


def _draw_swaps(rng: np.random.Generator, counts: Ints, size: int) -> Floats:
    """Draw how many examples of each distinct row are swapped, (size, D), each with probability 1/2."""
    bits = np.frombuffer(rng.bytes(size * -(-len(counts) // 8)), np.uint8).reshape(size, -1)
    swapped = np.unpackbits(bits, axis=1, count=len(counts)).astype(np.float64)
    several = np.flatnonzero(counts > 1)
    swapped[:, several] = rng.binomial(counts[several], 0.5, (size, len(several)))
    return swapped


def _rank_swap_p_value(
    examples: Floats | Sample, metric: RankMetric, groups: Ints | None, resampling: Resampling
) -> float:
    """Compute the p-value of `_swap_p_value` for a rank metric.

    The examples of both systems are stacked, and the weights say whose outputs count. Swaps without a defined score
    count as extreme, so p is 1 where the test says nothing.
    """
    if groups is None:  # D distinct rows, each swapped as many times as it occurs
        sample = merge_equal_rows(examples)
        swaps, unit_D = sample.counts, np.arange(len(sample.counts))
    else:  # all rows, and one swap for all examples of a group
        sample = Sample(as_rows(examples), np.ones(len(groups), np.int64))
        names, unit_D = np.unique(groups, return_inverse=True)
        swaps = np.ones(len(names), np.int64)
    both = np.vstack(np.split(sample.rows, 2, axis=1))  # (2 D, K)
    kept = sample.counts.astype(np.float64)

    def gap(swapped: Floats) -> Floats:  # (R, D) -> (R,)
        first, second = np.hstack([kept - swapped, swapped]), np.hstack([swapped, kept - swapped])
        return metric.score(both, first) - metric.score(both, second)

    observed = abs(float(gap(np.zeros((1, len(kept))))[0]))
    rng, size, extreme = np.random.default_rng(resampling.seed), max(1, BLOCK // max(1, 2 * len(kept))), 0
    for start in range(0, resampling.resamples, size):
        swapped = rng.binomial(swaps, 0.5, (min(size, resampling.resamples - start), len(swaps)))[:, unit_D]
        extreme += int((~(np.abs(gap(swapped.astype(np.float64))) < observed - ROUNDING)).sum())
    return (1 + extreme) / (1 + resampling.resamples)


def _discordant(first_correct: NDArray[np.bool_], second_correct: NDArray[np.bool_]) -> tuple[int, int]:
    """Count the examples that only the first system gets right, and those that only the second does."""
    first, second = np.asarray(first_correct, dtype=bool), np.asarray(second_correct, dtype=bool)
    return int((first & ~second).sum()), int((second & ~first).sum())
