"""Scores of language models, from what each text costs in nats."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from llmkit.metrics.score import Floats, Measured, Metric, ratio

__all__ = ["of_sums"]


def of_sums(
    nats: NDArray[np.float64],
    tokens: NDArray[np.int64],
    bytes: NDArray[np.int64],
    hits: NDArray[np.int64] | None = None,
) -> Measured:
    """loss (nats per token), perplexity, bits_per_byte and, with hits, token_accuracy; all arrays (N,)."""
    columns = [nats, tokens, bytes, np.zeros(len(nats)) if hits is None else hits]
    metrics = (
        Metric("loss", _loss, higher_is_better=False, point=None),
        Metric("perplexity", lambda sums: np.exp(_loss(sums)), higher_is_better=False, point=None),
        Metric("bits_per_byte", _bits, higher_is_better=False, point=None),
        Metric("token_accuracy", lambda sums: ratio(sums[..., 3], sums[..., 1])),
    )
    return Measured(np.column_stack(columns).astype(np.float64), metrics[: 3 if hits is None else 4])


def _loss(sums: Floats) -> Floats:
    return ratio(sums[..., 0], sums[..., 1])


def _bits(sums: Floats) -> Floats:
    return ratio(sums[..., 0], math.log(2) * sums[..., 2])
