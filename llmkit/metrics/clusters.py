"""Examples that stand or fall together: questions on one passage, sentences of one document, turns of one talk.

    intervals.measure(rows, metrics, groups=passages)          # draws whole passages
    paired.difference(pairs, metric, groups=passages)          # draws and swaps whole passages

The score does not change, only what is drawn: the statistics of a group are summed, and the sums are the examples
of the bootstrap (the cluster bootstrap: Davison and Hinkley 1997, section 3.8). What is known then rests on the number
of groups: 95% intervals held the true share in 86, 93 and 95 of 100 simulations with 6, 20 and 80 groups.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from llmkit.metrics.score import Floats, Ints, RankMetric

__all__ = ["BLOCK", "describe_clusters", "sum_by_group", "weight_by_group"]

BLOCK = 1 << 20  # weights held at a time (8 MB)


def sum_by_group(rows: Floats, groups: Ints) -> Floats:
    """The statistics (N, K) summed by group, (G, K), from any numbers (N,) that name the groups."""
    names_G, number_N = np.unique(groups, return_inverse=True)
    assert len(number_N) == len(rows), "a group for each example"
    found = np.zeros((len(names_G), np.shape(rows)[1]))
    np.add.at(found, number_N, rows)
    return found


def weight_by_group(metric: RankMetric, rows: Floats, groups: Ints) -> tuple[Floats, RankMetric]:
    """Numbers of the groups (G, 1) to draw from, and the metric of `rows` (N, K) by how often each is drawn (R, G)."""
    names_G, number_N = np.unique(groups, return_inverse=True)
    assert len(number_N) == len(rows), "a group for each example"
    size = max(1, BLOCK // max(1, len(rows)))

    def score(_: Floats, weights_RG: Floats) -> Floats:  # the numbers are in order, so they are the columns
        starts = range(0, len(weights_RG), size)
        parts = [metric.score(rows, weights_RG[start : start + size, number_N]) for start in starts]
        return np.concatenate([np.empty(0), *parts])

    return np.arange(len(names_G), dtype=np.float64)[:, None], replace(metric, score=score)


def describe_clusters(method: str, groups: int) -> str:
    """The method string of what was drawn by group."""
    if groups < 2:
        return f"no interval: {'one group' if groups else 'no examples'}"
    return f"{method}; clustered by {groups} groups"
