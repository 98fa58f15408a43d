"""pass@k against its definition in exact fractions, and against an enumeration of all choices of k programs."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.metrics import intervals
from llmkit.metrics.tasks.pass_at_k import count_passes, pass_at_k


@st.composite
def counts(draw: st.DrawFn, most: int = 200) -> tuple[int, int, int]:
    n = draw(st.integers(1, most))
    return n, draw(st.integers(0, n)), draw(st.integers(1, n))


@given(counts())
def test_pass_at_k_equals_the_formula_of_the_paper(count: tuple[int, int, int]) -> None:
    n, c, k = count
    assert pass_at_k(n, c, k) == pytest.approx(float(1 - Fraction(comb(n - c, k), comb(n, k))), abs=1e-12)


@given(counts(most=8))
def test_pass_at_k_is_the_share_of_choices_with_a_passing_program(count: tuple[int, int, int]) -> None:
    n, c, k = count
    draws = list(combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_pass_at_k_is_unbiased() -> None:
    """The mean over all outcomes of 5 programs that pass with probability 0.3 is 1 - 0.7^2 for k = 2."""
    p, n, k = 0.3, 5, 2
    mean = sum(comb(n, c) * p**c * (1 - p) ** (n - c) * pass_at_k(n, c, k) for c in range(n + 1))
    assert mean == pytest.approx(1 - (1 - p) ** k)


def test_large_counts_do_not_overflow() -> None:
    assert pass_at_k(10_000, 1, 5_000) == pytest.approx(0.5)


def test_scores_are_means_over_problems() -> None:
    measured = count_passes([(10, 3), (10, 0), (4, 4)], ks=[1, 2])
    expected = {"pass@1": (0.3 + 0 + 1) / 3, "pass@2": (1 - 7 * 6 / 90 + 0 + 1) / 3}
    assert measured.values() == pytest.approx(expected)
    scores = intervals.measure(measured.rows, measured.metrics)
    assert scores["pass@1"].n == 3
    assert scores["pass@1"].method.endswith("mean over problems")


def test_one_program_per_problem_gives_a_proportion() -> None:
    measured = count_passes([(1, 1)] * 3 + [(1, 0)] * 97)
    score = intervals.measure(measured.rows, measured.metrics)["pass@1"]
    assert score == intervals.wilson_score(3, 100, 0.95)


def test_score_without_problems_is_0() -> None:
    assert count_passes([]).values() == {"pass@1": 0.0}
    assert count_passes([], ks=[1, 5]).rows.shape == (0, 3)


@pytest.mark.parametrize("n, c, k", [(3, 4, 1), (3, -1, 1), (3, 1, 4), (3, 1, 0)])
def test_impossible_counts_fail_an_assertion(n: int, c: int, k: int) -> None:
    with pytest.raises(AssertionError):
        pass_at_k(n, c, k)


def test_statistics_of_two_halves_add_up() -> None:
    problems = [(5, c) for c in range(6)]
    whole, first, second = count_passes(problems), count_passes(problems[:2]), count_passes(problems[2:])
    assert np.array_equal(whole.rows, np.vstack([first.rows, second.rows]))
