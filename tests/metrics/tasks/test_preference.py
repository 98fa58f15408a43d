"""Preference metrics: worked examples, ties and invariants."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.metrics import intervals
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.tasks.preference import compare_log_probabilities, reward_margins

NOW = np.array([[-10.0, -12.0], [-9.0, -3.0], [-8.0, -8.5], [-4.0, -6.0]])
BEFORE = np.array([[-12.0, -11.0], [-9.0, -3.0], [-7.0, -8.5], [-4.0, -4.0]])
TOKENS = np.array([[5, 6], [9, 2], [4, 8], [2, 4]])


def test_worked_example() -> None:
    """Margins with beta 0.5: 1.5 (gained 2, lost 1), 0, -0.5 and 1."""
    assert reward_margins(NOW, BEFORE, 0.5).tolist() == [1.5, 0, -0.5, 1]
    result = compare_log_probabilities(NOW, BEFORE, TOKENS, beta=0.5).values()
    assert result["likelihood_accuracy"] == 3 / 4
    assert result["likelihood_accuracy_per_token"] == 1 / 4  # -2 and -2 are equal: no preference
    assert result["reward_accuracy"] == (1 + 0.5 + 0 + 1) / 4
    assert result["reward_margin"] == 0.5
    losses = [math.log(1 + math.exp(-margin)) for margin in (1.5, 0, -0.5, 1)]
    assert result["loss"] == pytest.approx(sum(losses) / 4)


def test_before_training_rewards_are_equal_but_likelihoods_differ() -> None:
    result = compare_log_probabilities(BEFORE, BEFORE, TOKENS, beta=0.1).values()
    assert result["reward_accuracy"] == 0.5
    assert result["reward_margin"] == 0
    assert result["loss"] == pytest.approx(math.log(2))
    assert result["likelihood_accuracy"] == 1 / 4  # both answers of the last pair are equally probable


def test_large_margins_stay_finite() -> None:
    now = np.array([[-5000.0, -1.0], [-1.0, -5000.0]])
    result = compare_log_probabilities(now, np.zeros((2, 2)), np.ones((2, 2), int), beta=1).values()
    assert result["loss"] == pytest.approx(4999 / 2)


def test_every_interval_contains_its_value() -> None:
    measured = compare_log_probabilities(
        np.tile(NOW, (9, 1)), np.tile(BEFORE, (9, 1)), np.tile(TOKENS, (9, 1)), beta=0.5
    )
    scores = intervals.measure(measured.rows, measured.metrics, resampling=Resampling(resamples=200))
    for score in scores.values():
        assert score.n == 36
        assert score.low is not None and score.high is not None
        assert score.low < score.value < score.high
    assert "equal rewards count as half correct" in scores["reward_accuracy"].method


@given(
    st.lists(st.tuples(*[st.floats(-200, -0.01)] * 4), min_size=1, max_size=20),
    st.floats(0.01, 5),
    st.floats(-50, 0),
)
def test_common_terms_of_both_answers_do_not_change_the_reward_margin(
    rows: list[tuple[float, ...]], beta: float, shift: float
) -> None:
    """Making both answers of a pair equally less probable keeps the margins; swapping the answers negates them."""
    now, before = np.array(rows)[:, :2], np.array(rows)[:, 2:]
    result = reward_margins(now, before, beta)
    np.testing.assert_allclose(reward_margins(now + shift, before, beta), result, atol=1e-9 * beta * 400)
    np.testing.assert_allclose(
        reward_margins(now[:, ::-1], before[:, ::-1], beta), -result, atol=1e-9 * beta * 400
    )
    own = compare_log_probabilities(now, before, np.ones_like(now, dtype=int), beta=beta).values()
    other = compare_log_probabilities(
        now[:, ::-1], before[:, ::-1], np.ones_like(now, dtype=int), beta=beta
    ).values()
    assert own["reward_accuracy"] + other["reward_accuracy"] == pytest.approx(1)
