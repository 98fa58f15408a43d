"""Parts of sections: axes, bars and cells."""

from __future__ import annotations

from types import SimpleNamespace

from llmkit.report.tables import Axis, Cell, Table, score_cell


def test_overlapping_intervals_overlap_on_the_axis() -> None:
    one, two = (
        SimpleNamespace(value=0.8, low=0.75, high=0.85),
        SimpleNamespace(value=0.86, low=0.82, high=0.9),
    )
    axis = Axis.over([one, two])
    assert axis.bar(two).low < axis.bar(one).high
    assert 0 <= axis.bar(one).low < axis.bar(one).value < axis.bar(one).high < axis.bar(two).high <= 1


def test_an_axis_of_shares_stays_between_zero_and_one() -> None:
    axis = Axis.over([SimpleNamespace(value=0.99, low=0.0, high=1.0)])
    assert (axis.low, axis.high) == (0.0, 1.0)


def test_an_axis_of_errors_extends_above_but_never_below_zero() -> None:
    axis = Axis.over(
        [SimpleNamespace(value=0.1, low=0.05, high=0.2), SimpleNamespace(value=6.7, low=6.1, high=7.3)]
    )
    assert axis.low == 0.0
    assert axis.high > 7.3


def test_an_axis_of_correlations_stays_between_minus_one_and_one() -> None:
    axis = Axis.over(
        [SimpleNamespace(value=-0.9, low=-0.99, high=0.0), SimpleNamespace(value=0.97, low=0.9, high=0.99)]
    )
    assert (axis.low, axis.high) == (-1.0, 1.0)


def test_a_score_without_interval_is_a_point() -> None:
    score = SimpleNamespace(value=0.5, low=None, high=None)
    bar = Axis.over([score]).bar(score)
    assert bar.low == bar.value == bar.high == 0.5


def test_an_axis_of_differences_holds_zero() -> None:
    difference = SimpleNamespace(value=0.1, low=0.05, high=0.15)
    bar = Axis.over([difference], zero=True).bar(difference, zero=True)
    assert bar.zero is not None
    assert 0 < bar.zero < bar.low


def test_the_bar_of_the_model_is_found_in_any_row() -> None:
    scores = [SimpleNamespace(value=value, low=None, high=None) for value in (0.9, 0.8, 0.3)]
    axis = Axis.over(scores)
    bars = [axis.bar(score, own=number == 1) for number, score in enumerate(scores)]
    rows = [(Cell("system"), Cell("", bar=bar)) for bar in bars]
    assert Table("", (), rows).own == bars[1]
    assert Table("", (), rows[:1]).own is None
    assert Table("", (), [(Cell("system"), Cell(""))]).own is None


def test_a_missing_score_is_a_dash() -> None:
    assert score_cell(None).text == "–"
