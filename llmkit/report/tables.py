"""What a report consists of before it is HTML or Markdown: sections of sentences, tables and plots.

Both pages are drawn from the same sections, so they cannot disagree. A cell holds finished text; what only a picture
can show (a shade, an interval bar) is extra and is left out where it cannot be drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from llmkit.report.format import Interval, count, interval, number

__all__ = [
    "Axis",
    "Bar",
    "Cell",
    "Estimate",
    "Section",
    "Table",
    "count_cell",
    "number_cell",
    "pairs",
    "score_cell",
    "score_cells",
]

Row = Sequence["Cell"]

PADDING = 0.08  # share of the axis on both sides of the widest interval


class Estimate(Interval, Protocol):
    """A value with an interval: a score or a difference."""

    @property
    def value(self) -> float: ...


@dataclass(frozen=True)
class Bar:
    """An interval as positions on the axis of its column, each in [0, 1]."""

    value: float
    low: float
    high: float
    zero: float | None = None
    """Where a difference of 0 lies; None for scores."""
    own: bool = False
    """Whether this is the model's bar, not a baseline's."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str
    note: str = ""
    """Shown in small type after the text: an interval, a share."""
    numeric: bool = False
    wide: bool = False
    """Whether the text is a sentence."""
    path: bool = False
    """Whether the text may be broken anywhere, as a file name."""
    shade: float | None = None
    """Shade of the background, in [0, 1]."""
    bar: Bar | None = None


@dataclass(frozen=True)
class Axis:
    """The common scale of all bars in a table."""

    low: float
    high: float

    @classmethod
    def over(cls, scores: Iterable[Estimate], *, zero: bool = False) -> Axis:
        """Make an axis that holds every interval.

        Args:
            scores: At least one score or difference.
            zero: Whether these are differences: the axis holds 0 and may extend beyond 1. An axis of scores stays
                within [0, 1] or [-1, 1] where all intervals do.
        """
        ends = [end for score in scores for end in (score.low, score.value, score.high)]
        numbers = [end for end in ends if end is not None] + [0.0] * zero
        low, high = min(numbers), max(numbers)
        pad = PADDING * (high - low) or 0.05
        if zero:
            return cls(low - pad, high + pad)
        floor = 0.0 if low >= 0 else -1.0 if low >= -1 else low - pad
        return cls(max(low - pad, floor), min(high + pad, 1.0) if high <= 1 else high + pad)

    def bar(self, score: Estimate, *, zero: bool = False, own: bool = False) -> Bar:
        """Place a score on this axis; without an interval it is a point."""
        low = score.value if score.low is None else score.low
        high = score.value if score.high is None else score.high
        return Bar(self._at(score.value), self._at(low), self._at(high), self._at(0.0) if zero else None, own)

    def _at(self, value: float) -> float:
        return round((value - self.low) / (self.high - self.low), 4)


@dataclass(frozen=True)
class Table:
    """A table; with an axis, the last cell of each row is a bar and has no column name."""

    caption: str
    head: Sequence[str]
    """Names of the columns."""
    rows: Sequence[Row]
    axis: Axis | None = None
    folded: bool = False
    """Whether the table is shown on demand only, where the page can do that."""
    heat: bool = False
    """Whether cells have a shade."""

    @property
    def stacked(self) -> bool:
        """Whether rows begin with a sentence. On a narrow screen the cells of such a row are below each other."""
        return bool(self.rows) and self.rows[0][0].wide

    @property
    def own(self) -> Bar | None:
        """The model's bar, which the others are compared with."""
        return next((row[-1].bar for row in self.rows if row[-1].bar and row[-1].bar.own), None)

    def numeric(self, column: int) -> bool:
        """Return whether a column holds numbers."""
        return bool(self.rows) and self.rows[0][column].numeric


@dataclass(frozen=True)
class Section:
    """A section of the report."""

    key: str
    """Its anchor on the page."""
    title: str
    lines: Sequence[str] = ()
    warnings: Sequence[str] = ()
    plots: Sequence[str] = ()
    """Names of files in plots/."""
    tables: Sequence[Table] = ()
    codes: Sequence[tuple[str, str]] = ()
    """Titles and texts of code blocks."""
    large: bool = False
    """Whether the plot needs the whole width."""

    @property
    def heat(self) -> bool:
        """Whether a shaded table shows what the plot shows, so that a page with colours needs no plot."""
        return any(table.heat and not table.folded for table in self.tables)


def number_cell(value: float | None) -> Cell:
    """Make a cell with a number."""
    return Cell(number(value), numeric=True)


def count_cell(value: float | None) -> Cell:
    """Make a cell with a whole number."""
    return Cell(count(value), numeric=True)


def score_cell(score: Estimate | None) -> Cell:
    """Make one cell for a score, with its interval as the note."""
    if score is None:
        return number_cell(None)
    return Cell(number(score.value), "" if score.low is None else interval(score), numeric=True)


def score_cells(score: Estimate) -> tuple[Cell, Cell]:
    """Make two cells for a score: its value and its interval."""
    return number_cell(score.value), Cell(interval(score), numeric=True)


def pairs(caption: str, values: Mapping[str, str]) -> Table:
    """Make a table of names and values, without column names."""
    return Table(caption, ("", ""), [(Cell(name), Cell(value)) for name, value in values.items()])
