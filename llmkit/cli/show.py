"""Print results to stdout and progress to stderr. The only module that uses rich."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llmkit.base import processes
from llmkit.base.progress import SILENT, Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars

__all__ = ["console", "print_json", "progress", "score_text", "table"]

PIPED_WIDTH = 160  # characters
NUMBER = r"[-+]?\d[\d,]*(\.\d+)?"
INTERVAL = rf"\[{NUMBER}, {NUMBER}\]"
NUMERIC = re.compile(rf"(nan|inf|{NUMBER}%?)?( ?{INTERVAL})?")  # also matches an empty cell


@contextmanager
def progress(*, bars: bool = True) -> Iterator[Progress]:
    """Show progress bars on a terminal, plain notes elsewhere, and nothing on processes other than the first."""
    if not processes.is_main():
        yield SILENT
    elif not bars or not sys.stderr.isatty():
        yield _Plain()
    else:
        from rich import progress as rich_progress
        from rich.console import Console

        # A narrow terminal drops columns from the right, so the important ones come first.
        with rich_progress.Progress(
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(bar_width=12),
            rich_progress.TextColumn("{task.fields[amount]}"),
            rich_progress.TimeRemainingColumn(compact=True),
            rich_progress.TextColumn("left"),
            rich_progress.TextColumn("{task.fields[detail]}", style="dim"),
            console=Console(stderr=True, highlight=False),
            transient=True,
            redirect_stdout=False,  # otherwise rich sends results to stderr, with the bars
        ) as bars_on_screen:
            yield _Terminal(bars_on_screen)


class _Plain:
    """Progress for pipes and log files: notes only."""

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201

    def advance(self, what: str, done: int, total: int, unit: str, detail: str = "") -> None:
        pass


class _Terminal:
    """Progress for terminals: one bar per kind of work, removed when it is finished."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def note(self, text: str) -> None:
        self._bars.console.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)

    def advance(self, what: str, done: int, total: int, unit: str, detail: str = "") -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total, amount="", detail="")
        amount = f"{done / 1e6:.1f}/{total / 1e6:.1f} MB" if unit == "bytes" else f"{done:,}/{total:,} {unit}"
        self._bars.update(self._tasks[what], completed=done, total=total, amount=amount, detail=detail)
        if done >= total:
            self._bars.remove_task(self._tasks.pop(what))


def console() -> Console:
    """Return the console for results. Files and pipes have no width, so tables may be wide there."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return Console(highlight=False, soft_wrap=True, markup=False, width=width)


def print_json(value: Mapping[str, Any]) -> None:
    """Print exactly one JSON object to stdout."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False))  # noqa: T201


def score_text(score: Mapping[str, Any] | None) -> str:
    """Format a score as `0.862 [0.840, 0.882]`."""
    if score is None:
        return ""
    value = f"{score['value']:.3f}"
    return value if score.get("low") is None else f"{value} [{score['low']:.3f}, {score['high']:.3f}]"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a small table to stdout: numbers right-aligned, text left-aligned."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 3, 0, 0),
        show_header=any(columns),
    )
    for number, column in enumerate(columns):
        numeric = all(NUMERIC.fullmatch(row[number]) for row in rows)
        drawn.add_column(column, justify="right" if numeric else "left", header_style="dim")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    console().print(drawn)
