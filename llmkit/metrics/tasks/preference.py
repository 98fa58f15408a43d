"""Preference learning: does a model prefer the answers that people chose, by probability and by DPO reward?

    statistics = compare_log_probabilities(now, before, tokens, beta=0.1)
    statistics.values()      # {"likelihood_accuracy": ..., "reward_margin": ..., ...}

The reward of an answer is beta (log p - log p_before), where p is its probability under the model and p_before its
probability under the base model. Before any training all rewards are 0: no answer is preferred, which counts as half
correct. Shapes: N pairs; the second axis is chosen, rejected.

Source: Rafailov et al. (2023), Direct Preference Optimization, equation 5 without the term of the prompt alone.
"""

from __future__ import annotations

import numpy as np

from llmkit.metrics.score import Floats, Ints, Metric, Statistics, column_ratio

__all__ = ["METRICS", "compare_log_probabilities", "reward_margins"]

LIKELIHOOD, PER_TOKEN, REWARD, MARGIN, LOSS, PAIRS = range(6)  # columns of the statistics


def reward_margins(now: Floats, before: Floats, beta: float) -> Floats:
    """Compute the reward of the chosen answer minus that of the rejected one, (N,).

    Args:
        now: Log-probabilities of whole answers under the model, in nats, (N, 2).
        before: Log-probabilities under the base model, (N, 2).
        beta: Scale of the rewards.
    """
    gained = now.astype(np.float64) - before
    margins: Floats = beta * (gained[:, 0] - gained[:, 1])
    return margins


def compare_log_probabilities(now: Floats, before: Floats, tokens: Ints, *, beta: float) -> Statistics:
    """Make the statistics of each pair of a chosen and a rejected answer.

    The scores are:

    - likelihood_accuracy: share of pairs whose chosen answer is the more probable one.
    - likelihood_accuracy_per_token: the same by mean log-probability per token, which does not favour short answers.
      Both can be computed for any model, before training too (ranking accuracy in Chen et al. 2024).
    - reward_accuracy: share of pairs with a positive reward margin; equal rewards count as half correct.
    - reward_margin: mean reward margin.
    - loss: mean of -log sigmoid(margin), in nats per pair.

    Args:
        now: Log-probabilities of whole answers under the model, in nats, (N, 2).
        before: Log-probabilities under the base model, (N, 2).
        tokens: Number of tokens of the answers, (N, 2).
        beta: Scale of the rewards.
    """
    margin = reward_margins(now, before, beta)
    per_token = now / tokens
    columns = [
        now[:, 0] > now[:, 1],
        per_token[:, 0] > per_token[:, 1],
        (np.sign(margin) + 1) / 2,
        margin,
        np.logaddexp(0, -margin),
        np.ones(len(margin)),
    ]
    return Statistics(np.stack(columns, axis=1).astype(np.float64), METRICS)


METRICS = (
    Metric("likelihood_accuracy", column_ratio(LIKELIHOOD, PAIRS), share=True),
    Metric("reward_accuracy", column_ratio(REWARD, PAIRS), note="equal rewards count as half correct"),
    Metric("reward_margin", column_ratio(MARGIN, PAIRS), point=None),
    Metric("likelihood_accuracy_per_token", column_ratio(PER_TOKEN, PAIRS), share=True),
    Metric("loss", column_ratio(LOSS, PAIRS), note="nats per pair", higher_is_better=False, point=None),
)
