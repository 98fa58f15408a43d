"""Fitting the cost model, and its error on points that were held out."""

from __future__ import annotations

import numpy as np
import pytest

from bench.scaling import COST_MODELS, Shape, fit, format_section
from bench.suites.scaling import POINTS, Point

SHAPES = {
    "22 M": Shape(6, 384, 12, 10_600_000, 22_700_000),
    "135 M": Shape(30, 576, 9, 106_000_000, 134_500_000),
}
STEP = COST_MODELS[0]
COEFFICIENTS = np.array([0.2, 8.0, 20.0])


def compute_values(points: list[Point]) -> dict[Point, float]:
    return {point: float(np.dot(STEP.terms(point, SHAPES[point.model]), COEFFICIENTS)) for point in points}


SINGLE = [point for point in POINTS if point.processes == 1 and point.rows == 192]


def test_fit_recovers_the_coefficients() -> None:
    values = compute_values(SINGLE)
    rows = np.array([STEP.terms(point, SHAPES[point.model]) for point in values])
    assert fit(rows, np.array(list(values.values()))) == pytest.approx(COEFFICIENTS, rel=1e-6)


def test_coefficients_are_not_negative() -> None:
    rows = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    assert (fit(rows, np.array([3.0, 2.0, 1.0])) >= 0).all()


def test_held_out_points_are_not_fitted_and_their_error_is_reported() -> None:
    values = compute_values(SINGLE)
    held_out = next(point for point in values if point.held_out)
    text = format_section(STEP, {**values, held_out: values[held_out] * 2}, SHAPES)
    assert "Largest error of the 4 points held out: 50%." in text
    assert sum("held out |" in line for line in text.splitlines()) == 4
    assert text.count("| +0% |") + text.count("| -0% |") == len(values) - 1


def test_too_few_points_are_not_fitted() -> None:
    assert "Too few points" in format_section(STEP, dict(list(compute_values(SINGLE).items())[:2]), SHAPES)


def test_each_cost_model_names_its_coefficients() -> None:
    for model in COST_MODELS:
        assert len(model.names) == len(model.terms(POINTS[0], SHAPES["22 M"]))
