"""Confidence intervals: the bootstrap for any score of summed statistics, and Wilson's closed form for proportions.

    statistics = np.array([[2, 3], [0, 4], [5, 5]])               # (N, K): correct and all tokens of each text
    bootstrap(statistics, column_ratio(0, 1), resampling=Resampling(seed=1))

A bootstrap resample draws n examples with replacement, sums their statistics and scores the sum. Only the number of
times each distinct row is drawn matters, so equal rows are merged. With few distinct rows, a resample is one
multinomial draw over their counts (10,000 examples with 100 distinct rows: 2000 resamples in 0.02 s); otherwise the
drawn indices are counted in blocks (0.2 s).

A score that depends on the order of the examples (Spearman, PR-AUC) is resampled in the same way, but computed from
the number of times each example is drawn: `measure_ranks`, 0.2 to 0.4 s for 1,500 examples.

Limits of the intervals:

- They describe new examples drawn independently from the same source. Sentences of one document, questions on one
  passage and near-duplicates are clusters, which make the intervals too narrow unless `groups` is given; then whole
  clusters are resampled (see `clusters`).
- Below about 30 examples, or with a handful of examples of a class, the bootstrap is too narrow as well, because it
  cannot draw what the sample does not contain.
- A score that is the same in every resample gets an interval of zero width, and the method string says so.
- The variation between training seeds is not included.

Coverage of 95% intervals with 30, 100 and 400 examples (`bench/coverage.py`, 1000 simulations each, so +- 1.4
percentage points): Wilson for a proportion of 0.8: 96, 94, 94. BCa for a correlation of 0.7: 94, 95, 95; for macro F1
with a class of 10%: 88, 96, 95 (some samples of 30 do not contain the class); for the mean of a log-normal loss, whose
long tail small samples miss: 90, 94, 92; for a proportion in clusters of 5 (6, 20 and 80 clusters): 86, 93, 95. The
same proportion with clusters ignored, by Wilson: 89, 83, 83.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

import numpy as np

from llmkit.metrics.clusters import BLOCK, describe_clusters, sum_by_group, weight_by_group
from llmkit.metrics.resampling import DEFAULT_RESAMPLING, Resampling
from llmkit.metrics.score import Floats, Ints, Metric, RankMetric, Score, ScoreFunction, column_ratio

__all__ = [
    "Method",
    "Sample",
    "as_rows",
    "bootstrap",
    "format_percent",
    "mean",
    "measure",
    "measure_ranks",
    "merge_equal_rows",
    "resample",
    "wilson",
    "wilson_interval",
    "wilson_score",
]

Method = Literal["bca", "percentile"]

MULTINOMIAL_COST = 15  # a multinomial cell takes as long as this many drawn indices (measured)
ROUNDING = 1e-12  # equal scores, summed in a different order, can differ by this much
ENOUGH = 0.9  # fraction of resamples that must have a defined score
JACKKNIFE_ROWS = 5000  # most distinct rows for which each is left out in turn (25 million weights)
NORMAL = NormalDist()


@dataclass(frozen=True, eq=False)
class Sample:
    """Statistics with equal examples merged: distinct rows (D, K), and the number of examples of each (D,)."""

    rows: Floats
    counts: Ints

    @property
    def n(self) -> int:
        """Number of examples."""
        return int(self.counts.sum())

    @property
    def total(self) -> Floats:
        """Sum over all examples, (K,). Not a matrix product: BLAS may round equal columns differently."""
        total: Floats = (self.counts[:, None] * self.rows).sum(axis=0)
        return total


def merge_equal_rows(statistics: Floats | Sample) -> Sample:
    """Merge equal rows of the statistics (N, K); a `Sample` is returned unchanged."""
    if isinstance(statistics, Sample):
        return statistics
    rows, counts = np.unique(np.asarray(statistics, dtype=np.float64), axis=0, return_counts=True)
    return Sample(rows, counts.astype(np.int64))


def as_rows(statistics: Floats | Sample) -> Floats:
    """Return the statistics (N, K) of single examples, as needed with groups; merged rows have lost their group."""
    assert not isinstance(statistics, Sample), "groups need the statistics of single examples"
    return np.asarray(statistics, np.float64)


def measure(
    statistics: Floats | Sample,
    metrics: Iterable[Metric],
    *,
    groups: Ints | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> dict[str, Score]:
    """Compute metrics with intervals: Wilson for proportions (`Metric.share`), BCa bootstrap for all others.

    Args:
        statistics: Statistics of each example, (N, K), or merged rows (only without groups).
        metrics: The metrics; all are computed on the same resamples.
        groups: Group of each example, (N,), any number per group. Whole groups are resampled, for proportions too.
        resampling: Confidence, number of resamples and seed.

    Returns:
        Scores by metric name. `Score.n` is the number of examples, also with groups.
    """
    metrics, confidence = list(metrics), resampling.confidence
    if groups is not None:
        return _measure_groups(as_rows(statistics), metrics, groups, resampling)
    sample = merge_equal_rows(statistics)
    draws = np.empty((0, 0)) if all(metric.share for metric in metrics) else resample(sample, resampling)
    scores = {}
    for metric in metrics:
        if metric.share:
            hits = round(float(metric.score(sample.total)) * sample.n)  # undoes the division exactly
            scores[metric.name] = wilson_score(hits, sample.n, confidence)
        else:
            scores[metric.name] = _score_draws(sample, draws, metric.score, confidence, "bca", metric.note)
    return scores


def measure_ranks(
    rows: Floats | Sample,
    metrics: Iterable[RankMetric],
    *,
    groups: Ints | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> dict[str, Score]:
    """Compute rank metrics with bootstrap intervals.

    BCa as in `bootstrap`; above 5,000 distinct rows the percentile interval, because BCa leaves out each row in turn,
    and its correction fades as the number of examples grows. Time grows with resamples + rows; memory is one block of
    resamples.

    Args:
        rows: Examples (N, K), or merged rows (only without groups).
        metrics: The metrics; all are computed on the same resamples.
        groups: Group of each example, (N,), as in `measure`.
        resampling: Confidence, number of resamples and seed.

    Returns:
        Scores by metric name.
    """
    metrics = list(metrics)
    if groups is not None:
        scores = {}
        for metric in metrics:
            numbers, by_group = weight_by_group(metric, as_rows(rows), groups)
            score = measure_ranks(numbers, [by_group], resampling=resampling)[metric.name]
            scores[metric.name] = _of_groups(score, len(numbers), len(groups))
        return scores
    sample = merge_equal_rows(rows)
    drawn = _score_blocks(sample, metrics, _draw_weights(sample, resampling))
    values = _score_blocks(sample, metrics, [sample.counts[None].astype(np.float64)])
    affordable = len(sample.counts) <= JACKKNIFE_ROWS
    left_out = _score_blocks(sample, metrics, _without_each(sample)) if affordable else [None] * len(metrics)
    return {
        metric.name: _summarize(
            sample, float(value[0]), scores, without_each, resampling.confidence, metric.note
        )
        for metric, value, scores, without_each in zip(metrics, values, drawn, left_out)
    }


def bootstrap(
    statistics: Floats | Sample,
    score: ScoreFunction,
    *,
    groups: Ints | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
    method: Method = "bca",
) -> Score:
    """Compute one score of the summed statistics with its bootstrap interval.

    The interval always contains the value: it is extended to it where the resamples do not reach. Resamples without a
    finite score are left out and counted in the method string; if they are more than one in ten, there is no interval.

    Args:
        statistics: Statistics of each example, (N, K), or merged rows (only without groups).
        score: Maps sums (..., K) to values (...).
        groups: Group of each example, (N,), as in `measure`.
        resampling: Confidence, number of resamples and seed.
        method: "bca" (bias-corrected and accelerated), which falls back to "percentile" where it is undefined.

    Source: Efron (1987), Better Bootstrap Confidence Intervals.
    """
    sample = merge_equal_rows(statistics if groups is None else sum_by_group(as_rows(statistics), groups))
    result = _score_draws(sample, resample(sample, resampling), score, resampling.confidence, method, "")
    return result if groups is None else _of_groups(result, sample.n, len(groups))


def mean(values: Floats, *, resampling: Resampling = DEFAULT_RESAMPLING) -> Score:
    """Compute the mean of one number per example (N,), such as a loss or a squared error, with its interval."""
    statistics = np.stack([np.asarray(values, np.float64), np.ones(len(values))], axis=1)
    return bootstrap(statistics, column_ratio(0, 1), resampling=resampling)


def resample(sample: Sample, resampling: Resampling) -> Floats:
    """Draw n examples with replacement and sum their statistics, R = `resampling.resamples` times: (R, K)."""
    return np.concatenate([weights @ sample.rows for weights in _draw_weights(sample, resampling)])


def wilson(hits: int, n: int, confidence: float = 0.95) -> tuple[float | None, float | None]:
    """Compute the score interval of the proportion hits / n; (None, None) without examples.

    Source: Wilson (1927), Probable Inference, the Law of Succession, and Statistical Inference.
    """
    if n == 0:
        return None, None
    low, high = wilson_interval(hits / n, n, confidence)
    return min(low, hits / n), max(high, hits / n)  # exactly 0 and 1 at the ends, where rounding leaves 1e-17


def wilson_interval(share: float, n: float, confidence: float) -> tuple[float, float]:
    """Compute the score interval of a proportion of n independent examples; n may be an effective number."""
    z = NORMAL.inv_cdf((1 + confidence) / 2)
    shrink = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / shrink
    half = z / shrink * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def wilson_score(hits: int, n: int, confidence: float = 0.95) -> Score:
    """Return the proportion hits / n with its Wilson interval; 0 without an interval if there are no examples."""
    if n == 0:
        return Score(0.0, None, None, 0, _too_few(0))
    return Score(hits / n, *wilson(hits, n, confidence), n, f"Wilson {format_percent(confidence)}")


def format_percent(confidence: float) -> str:
    """Format a fraction as a percentage: `95%`, `99.9%`."""
    return f"{100 * confidence:g}%"


def _draw_weights(sample: Sample, resampling: Resampling) -> Iterator[Floats]:
    """Yield how often each distinct row is drawn, in blocks (<= BLOCK / n, D) of resamples."""
    if sample.n == 0:
        yield np.zeros((resampling.resamples, 0))
        return
    rng = np.random.default_rng(resampling.seed)
    draw = _multinomial if len(sample.counts) * MULTINOMIAL_COST <= sample.n else _counted_indices
    size = max(1, BLOCK // sample.n)
    for start in range(0, resampling.resamples, size):
        yield draw(rng, sample, min(size, resampling.resamples - start))


def _multinomial(rng: np.random.Generator, sample: Sample, size: int) -> Floats:
    """Draw how often each distinct row occurs, (size, D); the cost grows with D."""
    return rng.multinomial(sample.n, sample.counts / sample.n, size).astype(np.float64)


def _counted_indices(rng: np.random.Generator, sample: Sample, size: int) -> Floats:
    """Draw from the same distribution as `_multinomial` by drawing n examples; the cost grows with n."""
    distinct = len(sample.counts)
    row_of_N = np.repeat(np.arange(distinct), sample.counts)
    weights = np.empty((size, distinct))
    for draw, indices in enumerate(rng.integers(0, sample.n, (size, sample.n), dtype=np.int32)):
        weights[draw] = np.bincount(row_of_N[indices], minlength=distinct)
    return weights


def _without_each(sample: Sample) -> Iterator[Floats]:
    """Yield the counts with one example less of each distinct row in turn, in blocks (<= BLOCK / D, D)."""
    distinct = len(sample.counts)
    size = max(1, BLOCK // max(1, distinct))
    for start in range(0, distinct, size):
        rows = np.arange(start, min(start + size, distinct))
        weights = np.tile(sample.counts.astype(np.float64), (len(rows), 1))
        weights[np.arange(len(rows)), rows] -= 1
        yield weights


def _measure_groups(
    rows: Floats, metrics: list[Metric], groups: Ints, resampling: Resampling
) -> dict[str, Score]:
    """Compute metrics by resampling whole groups.

    If all examples are hits, or none is, all resamples are equal although a new group may differ. The interval is then
    that of one example per group.
    """
    sums_GK = sum_by_group(rows, groups)
    num_groups = len(sums_GK)
    plain = [replace(metric, share=False) for metric in metrics]
    scores = {}
    for metric, score in zip(metrics, measure(sums_GK, plain, resampling=resampling).values(), strict=True):
        if metric.share and score.value in (0.0, 1.0) and num_groups > 1:
            alike = wilson_score(round(score.value) * num_groups, num_groups, resampling.confidence)
            method = f"{alike.method} as of {num_groups} groups, since all examples are alike"
            scores[metric.name] = replace(alike, n=len(rows), method=method)
        else:
            scores[metric.name] = _of_groups(score, num_groups, len(rows))
    return scores


def _of_groups(score: Score, groups: int, n: int) -> Score:
    """Return the score of n examples that was computed from the sums of this number of groups."""
    return replace(score, n=n, method=describe_clusters(score.method, groups))


def _score_blocks(sample: Sample, metrics: list[RankMetric], blocks: Iterable[Floats]) -> list[Floats]:
    """Compute the scores (R,) of each metric for weights (R, D) that come in blocks."""
    results = [[metric.score(sample.rows, weights) for metric in metrics] for weights in blocks]
    return [np.concatenate([np.empty(0), *(row[m] for row in results)]) for m in range(len(metrics))]


def _score_draws(
    sample: Sample, draws: Floats, score: ScoreFunction, confidence: float, method: Method, note: str
) -> Score:
    """Compute a score and its interval from resampled sums (R, K)."""
    value, *drawn = score(np.vstack([sample.total, draws])).tolist()
    left_out = score(sample.total - sample.rows) if method == "bca" else None
    return _summarize(sample, value, np.array(drawn), left_out, confidence, note)


def _summarize(
    sample: Sample, value: float, drawn: Floats, left_out: Floats | None, confidence: float, note: str
) -> Score:
    """Compute the interval from the scores of the resamples (R,).

    left_out (D,) holds the scores without one example of each distinct row; None gives the percentile interval.
    """
    if sample.n < 2:
        return Score(value if np.isfinite(value) else 0.0, None, None, sample.n, _too_few(sample.n))
    scores = drawn[np.isfinite(drawn)]
    missing = len(drawn) - len(scores)
    if not np.isfinite(value):
        return Score(0.0, None, None, sample.n, "no interval: undefined on these examples, reported as 0")
    if len(scores) < ENOUGH * len(drawn):
        return Score(value, None, None, sample.n, f"no interval: no score in {missing} of {len(drawn)} draws")
    tails = None if left_out is None else _bca_tails(left_out, sample.counts, value, scores, confidence)
    low, high = np.quantile(scores, tails or ((1 - confidence) / 2, (1 + confidence) / 2)).tolist()
    parts = [
        f"{'BCa' if tails else 'percentile'} bootstrap, {len(drawn)} draws, {format_percent(confidence)}",
        "BCa undefined here" if left_out is not None and not tails else "",
        "every draw scores the same" if low == high == value else "",
        f"{missing} draws without a score left out" if missing else "",
        note,
    ]
    return Score(value, min(low, value), max(high, value), sample.n, "; ".join(filter(None, parts)))


def _bca_tails(
    left_out: Floats, counts: Ints, value: float, scores: Floats, confidence: float
) -> tuple[float, float] | None:
    """Return the two quantiles of the resampled scores that bound the BCa interval (Efron 1987); None if undefined.

    BCa is undefined if the value lies outside all resampled scores (infinite bias), or if leaving out any one example
    changes nothing or leaves no score.

    Args:
        left_out: Scores without one example of each distinct row, (D,).
        counts: Number of examples of each distinct row, (D,).
        value: The score of all examples.
        scores: Finite scores of the resamples.
        confidence: Coverage of the interval.
    """
    ties = np.isclose(scores, value, rtol=ROUNDING, atol=ROUNDING)
    below = float(np.mean(((scores < value) & ~ties) + ties / 2))  # a tie counts half, as in scipy
    spread = np.average(left_out, weights=counts) - left_out
    squares = float(counts @ spread**2)
    if not 0 < below < 1 or not squares > 0:  # `not >` holds for nan too
        return None
    bias = NORMAL.inv_cdf(below)
    acceleration = float(counts @ spread**3) / (6 * squares**1.5)
    ends = [bias + NORMAL.inv_cdf(tail) for tail in ((1 - confidence) / 2, (1 + confidence) / 2)]
    if any(acceleration * end >= 1 for end in ends):
        return None
    low, high = (NORMAL.cdf(bias + end / (1 - acceleration * end)) for end in ends)
    return low, high


def _too_few(n: int) -> str:
    return "no interval: no examples" if n == 0 else "no interval: one example"
