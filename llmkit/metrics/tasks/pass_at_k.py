"""pass@k: how likely one of k programs passes its tests, estimated from n programs a problem without bias.

    measured = measure([(10, 3), (10, 0)], ks=[1, 5])     # two problems: 3 and 0 of 10 programs passed
    measured.values()                                     # {"pass@1": 0.15, "pass@5": 0.458...}

1 - C(n - c, k) / C(n, k), the share of draws of k out of n that hold one of the c that passed, is the mean of what
drawing k programs would give (Chen et al. 2021, "Evaluating Large Language Models Trained on Code", section 2.1);
1 - (1 - c/n)^k would be too low.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llmkit.metrics.score import Floats, Metric, Statistics, ratio

__all__ = ["count_passes", "pass_at_k"]


def count_passes(counts: Sequence[tuple[int, int]], ks: Sequence[int] = (1,)) -> Statistics:
    """Statistics of each problem from (n programs, c of them passed): a one, then pass@k for each k.

    The problems are the examples: the interval is about other problems, not about other draws of the programs.
    With one program a problem pass@1 is a share, with a closed form for its interval.
    """
    rows = np.array([[1.0, *(pass_at_k(n, c, k) for k in ks)] for n, c in counts]).reshape(-1, 1 + len(ks))
    single = all(n == 1 for n, _ in counts)
    return Statistics(rows, tuple(_metric(place, k, share=single) for place, k in enumerate(ks, 1)))


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that k of n programs, of which c pass, hold one that passes. 0 <= c <= n and 1 <= k <= n."""
    assert 0 <= c <= n, f"{c} of {n} programs passed"
    assert 1 <= k <= n, f"pass@{k} can't be estimated from {n} programs"
    if n - c < k:
        return 1.0
    return 1.0 - float(np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def _metric(place: int, k: int, *, share: bool) -> Metric:
    def score(sums: Floats) -> Floats:
        return ratio(sums[..., place], sums[..., 0])

    return Metric(f"pass@{k}", score, share=share, note="" if share else "mean over problems")
