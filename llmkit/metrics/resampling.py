"""Settings of confidence intervals and p-values; imports no numpy, so that settings can be built cheaply."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_RESAMPLING", "Resampling"]


@dataclass(frozen=True)
class Resampling:
    """How confidence intervals and p-values are computed.

    Args:
        confidence: Coverage of the intervals, in (0, 1); 0.95 gives 95% intervals.
        resamples: Number of bootstrap resamples, and of random swaps in a paired test.
        seed: Random seed of the resamples.
    """

    confidence: float = 0.95
    resamples: int = 2000
    seed: int = 0


DEFAULT_RESAMPLING = Resampling()
