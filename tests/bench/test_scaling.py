"""The fit finds the law that made the figures, and says how far it is off where it was not fitted."""

from __future__ import annotations

import numpy as np
import pytest

from bench.scaling import LAWS, Shape, fit, section
from bench.suites.scaling import POINTS, Point

SHAPES = {
    "22 M": Shape(6, 384, 12, 10_600_000, 22_700_000),
    "135 M": Shape(30, 576, 9, 106_000_000, 134_500_000),
}
UPDATE = LAWS[0]
TRUE = np.array([0.2, 8.0, 20.0])


def made(points: list[Point]) -> dict[Point, float]:
    return {point: float(np.dot(UPDATE.terms(point, SHAPES[point.model]), TRUE)) for point in points}


SINGLE = [point for point in POINTS if point.processes == 1 and point.rows == 192]


def test_coefficients_come_back() -> None:
    values = made(SINGLE)
    rows = np.array([UPDATE.terms(point, SHAPES[point.model]) for point in values])
    assert fit(rows, np.array(list(values.values()))) == pytest.approx(TRUE, rel=1e-6)


def test_none_is_below_zero() -> None:
    rows = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    assert (fit(rows, np.array([3.0, 2.0, 1.0])) >= 0).all()


def test_points_held_back_are_not_fitted_and_their_error_is_told() -> None:
    values = made(SINGLE)
    held = next(point for point in values if point.held)
    found = section(UPDATE, {**values, held: values[held] * 2}, SHAPES)
    assert "Largest error of the 4 points held back: 50%." in found
    assert sum("held back |" in line for line in found.splitlines()) == 4
    assert found.count("| +0% |") + found.count("| -0% |") == len(values) - 1


def test_too_few_points_are_no_fit() -> None:
    assert "Too few points" in section(UPDATE, dict(list(made(SINGLE).items())[:2]), SHAPES)


def test_each_law_names_its_terms() -> None:
    for law in LAWS:
        assert len(law.names) == len(law.terms(POINTS[0], SHAPES["22 M"]))
