"""Whether a model prefers the answers that people chose: by its own probabilities, and by what training changed.

    preference(now, before, tokens, beta=0.1).values()      # {"likelihood_accuracy": ..., "reward_margin": ..., ...}

The reward of an answer is beta (log p - log p_before) with p the model's probability of it and p_before that of the
model it was trained from (Rafailov et al. 2023, Direct Preference Optimization, equation 5 without the term of the
prompt alone). Before any training all rewards are 0: no answer is preferred, which counts as half right.
Shapes: N pairs; the second axis is chosen, rejected.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from llmkit.metrics.score import Floats, Ints, Metric, Statistics, ratio

__all__ = ["METRICS", "compare_log_probabilities", "reward_margins"]

OWN, PER_TOKEN, RIGHT, MARGIN, LOSS, PAIRS = range(6)  # columns of the statistics


def reward_margins(now: Floats, before: Floats, beta: float) -> Floats:
    """(N,) reward of the chosen answer less that of the rejected one, from log-probabilities (N, 2) in nats."""
    gained = now.astype(np.float64) - before
    found: Floats = beta * (gained[:, 0] - gained[:, 1])
    return found


def compare_log_probabilities(now: Floats, before: Floats, tokens: Ints, *, beta: float) -> Statistics:
    """From log-probabilities (N, 2) of whole answers in nats, now and before training, and the answers' tokens (N, 2).

    likelihood_accuracy: share of pairs whose chosen answer is the more probable one, as a whole; .._per_token: by its
    mean over tokens, which does not favour short answers. Both can be told of any model, before training too (ranking
    accuracy in Chen et al. 2024). reward_accuracy: share of pairs with a positive margin, equal rewards being half
    right; reward_margin: its mean; loss: the mean of -log sigmoid(margin).
    """
    margin = reward_margins(now, before, beta)
    each = now / tokens
    columns = [
        now[:, 0] > now[:, 1],
        each[:, 0] > each[:, 1],
        (np.sign(margin) + 1) / 2,
        margin,
        np.logaddexp(0, -margin),
        np.ones(len(margin)),
    ]
    return Statistics(np.stack(columns, axis=1).astype(np.float64), METRICS)


def _mean(column: int) -> Callable[[Floats], Floats]:
    return lambda sums: ratio(sums[..., column], sums[..., PAIRS])


METRICS = (
    Metric("likelihood_accuracy", _mean(OWN), share=True),
    Metric("reward_accuracy", _mean(RIGHT), note="equal rewards are half right"),
    Metric("reward_margin", _mean(MARGIN), point=None),
    Metric("likelihood_accuracy_per_token", _mean(PER_TOKEN), share=True),
    Metric("loss", _mean(LOSS), note="nats a pair", higher_is_better=False, point=None),
)
