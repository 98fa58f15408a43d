"""What a report is made of, before it is HTML or Markdown: sections of sentences, tables and plots.

Both pages are drawn from the same sections, so they can't disagree. A cell holds finished text; what only
a picture can show (a shade, an interval bar) stands beside it and is left out where it can't be drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmkit.report.format import count, interval, number

__all__ = [
    "Axis",
    "Bar",
    "Cell",
    "Content",
    "Section",
    "Table",
    "count_cell",
    "number_cell",
    "pairs",
    "score_cell",
    "score_cells",
]

Content = Mapping[str, Any]
Row = Sequence["Cell"]

PADDING = 0.08  # of the axis, on both sides of the widest interval


@dataclass(frozen=True)
class Bar:
    """An interval as positions on its column's axis, each in [0, 1]; zero is where no difference would be."""

    value: float
    low: float
    high: float
    zero: float | None = None
    own: bool = False  # the model's own bar, not a baseline's


@dataclass(frozen=True)
class Cell:
    """text is all a reader needs; note is said more quietly (an interval, a share); shade lies in [0, 1].

    wide is for sentences, path for what may be broken anywhere.
    """

    text: str
    note: str = ""
    numeric: bool = False
    wide: bool = False
    path: bool = False
    shade: float | None = None
    bar: Bar | None = None


@dataclass(frozen=True)
class Axis:
    """One scale for all the bars of a table."""

    low: float
    high: float

    @classmethod
    def over(cls, scores: Iterable[Content], *, zero: bool = False) -> Axis:
        """Wide enough for every interval, and for 0 when asked; no further than 0, 1 and -1 where all lie within."""
        ends = [score.get(key) for score in scores for key in ("low", "value", "high")]
        known = [end for end in ends if end is not None] + [0.0] * zero
        low, high = min(known), max(known)
        pad = PADDING * (high - low) or 0.05
        if zero:  # differences know no such ends
            return cls(low - pad, high + pad)
        floor = 0.0 if low >= 0 else -1.0 if low >= -1 else low - pad
        return cls(max(low - pad, floor), min(high + pad, 1.0) if high <= 1 else high + pad)

    def bar(self, score: Content, *, zero: bool = False, own: bool = False) -> Bar:
        """The score's place on this axis; without an interval it is a point."""
        value = score["value"]
        low, high = (value if score.get(key) is None else score[key] for key in ("low", "high"))
        return Bar(self._at(value), self._at(low), self._at(high), self._at(0.0) if zero else None, own)

    def _at(self, value: float) -> float:
        return round((value - self.low) / (self.high - self.low), 4)


@dataclass(frozen=True)
class Table:
    """head names the columns; with an axis, the last cell of a row is a bar and has no head of its own."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Row]
    axis: Axis | None = None
    folded: bool = False  # figures behind a plot: shown on demand where the page can fold
    heat: bool = False  # cells with a shade

    @property
    def stacked(self) -> bool:
        """Rows that begin with a sentence: on a phone each is a block, its cells below each other."""
        return bool(self.rows) and self.rows[0][0].wide

    @property
    def own(self) -> Bar | None:
        """The model's own bar, wherever it stands: the others are seen against it."""
        return next((row[-1].bar for row in self.rows if row[-1].bar and row[-1].bar.own), None)

    def numeric(self, column: int) -> bool:
        return bool(self.rows) and self.rows[0][column].numeric


@dataclass(frozen=True)
class Section:
    """One chapter; plots are names of files in plots/, codes are (title, text)."""

    key: str
    title: str
    lines: Sequence[str] = ()
    warnings: Sequence[str] = ()
    plots: Sequence[str] = ()
    tables: Sequence[Table] = ()
    codes: Sequence[tuple[str, str]] = ()
    large: bool = False  # the plot needs the whole width

    @property
    def heat(self) -> bool:
        """A table shows what the plot shows, and better: a page that can colour cells needs no plot."""
        return any(table.heat and not table.folded for table in self.tables)


def number_cell(value: float | None) -> Cell:
    return Cell(number(value), numeric=True)


def count_cell(value: float | None) -> Cell:
    return Cell(count(value), numeric=True)


def score_cell(score: Content | None) -> Cell:
    """A score in one cell, its interval as the note."""
    if score is None:
        return number_cell(None)
    return Cell(number(score["value"]), interval(score) if score.get("low") is not None else "", numeric=True)


def score_cells(score: Content) -> tuple[Cell, Cell]:
    """A score in two cells: value, interval."""
    return number_cell(score["value"]), Cell(interval(score), numeric=True)


def pairs(caption: str, values: Mapping[str, str]) -> Table:
    """A table of names and values, without a head."""
    return Table(caption, ("", ""), [(Cell(name), Cell(value)) for name, value in values.items()])
