"""A short run of bench/coverage.py; the bounds are wide: 60 simulations measure a coverage to about six points."""

import numpy as np
import pytest

from bench.coverage import SETTINGS, measure_coverage, simulate_macro_f1, simulate_share_without_groups


@pytest.mark.parametrize("name", [name for name in SETTINGS if not name.startswith("(")])
def test_intervals_cover_the_true_value(name):
    assert 0.85 <= measure_coverage(SETTINGS[name], 100, 60, seed=1) <= 1


def test_ignoring_clusters_covers_the_true_value_too_rarely():
    assert measure_coverage(simulate_share_without_groups, 400, 600) < 0.9


def test_true_value_equals_the_score_of_many_examples():
    score, true = simulate_macro_f1(np.random.default_rng(0), 200_000)
    assert score.value == pytest.approx(true, abs=0.005)
