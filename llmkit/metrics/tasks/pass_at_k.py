"""pass@k: the probability that at least one of k generated programs passes the tests, estimated without bias.

    statistics = count_passes([(10, 3), (10, 0)], ks=[1, 5])     # two problems: 3 and 0 of 10 programs passed
    statistics.values()                                          # {"pass@1": 0.15, "pass@5": 0.458...}

The estimate from n programs of which c pass is 1 - C(n - c, k) / C(n, k): the share of all choices of k out of n
programs that contain a passing one. The simpler 1 - (1 - c/n)^k would be too low.

Source: Chen et al. (2021), Evaluating Large Language Models Trained on Code, section 2.1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llmkit.metrics.score import Metric, Statistics, column_ratio

__all__ = ["count_passes", "pass_at_k"]


def count_passes(counts: Sequence[tuple[int, int]], ks: Sequence[int] = (1,)) -> Statistics:
    """Make the statistics of each problem: 1, then pass@k for each k.

    The problems are the examples, so the interval describes other problems, not other samples of programs. With one
    program per problem, pass@1 is a proportion with a closed form for its interval.

    Args:
        counts: For each problem the number of programs, and how many of them passed.
        ks: Values of k.
    """
    rows = np.array([[1.0, *(pass_at_k(n, c, k) for k in ks)] for n, c in counts]).reshape(-1, 1 + len(ks))
    single = all(n == 1 for n, _ in counts)
    note = "" if single else "mean over problems"
    metrics = [
        Metric(f"pass@{k}", column_ratio(column, 0), share=single, note=note)
        for column, k in enumerate(ks, 1)
    ]
    return Statistics(rows, tuple(metrics))


def pass_at_k(n: int, c: int, k: int) -> float:
    """Compute the probability that k of n programs, of which c pass, contain one that passes.

    Requires 0 <= c <= n and 1 <= k <= n.
    """
    assert 0 <= c <= n, f"{c} of {n} programs passed"
    assert 1 <= k <= n, f"pass@{k} can't be estimated from {n} programs"
    if n - c < k:
        return 1.0
    return 1.0 - float(np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))
