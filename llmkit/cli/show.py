"""What a person sees: progress on stderr, results on stdout. The only place that knows rich."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llmkit import processes
from llmkit.progress import SILENT, Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars

__all__ = ["console", "print_json", "progress", "score_text", "table"]


@contextmanager
def progress() -> Iterator[Progress]:
    """Bars with rate and time left on a terminal, plain lines for notes elsewhere, nothing on processes but the first."""
    if not processes.is_main():
        yield SILENT
    elif not sys.stderr.isatty():
        yield _Plain()
    else:
        from rich import progress as bars

        with bars.Progress(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(bar_width=24),
            bars.TextColumn("{task.fields[amount]}"),
            bars.TimeElapsedColumn(),
            bars.TextColumn("left"),
            bars.TimeRemainingColumn(),
            bars.TextColumn("{task.fields[detail]}", style="dim"),
            console=_stderr(),
            transient=True,
        ) as drawn:
            yield _Terminal(drawn)


class _Plain:
    """Not a terminal: notes only."""

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201

    def advance(self, what: str, done: int, total: int, unit: str, detail: str = "") -> None:
        pass


class _Terminal:
    """One bar for each kind of work at hand; a finished one disappears."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def note(self, text: str) -> None:
        self._bars.console.print(text, style="dim", markup=False, highlight=False)

    def advance(self, what: str, done: int, total: int, unit: str, detail: str = "") -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total, amount="", detail="")
        task = self._tasks[what]
        self._bars.update(task, completed=done, total=total, amount=_amount(done, total, unit), detail=detail)
        if done >= total:
            self._bars.remove_task(self._tasks.pop(what))


def _amount(done: int, total: int, unit: str) -> str:
    if unit == "bytes":
        return f"{done / 1e6:.1f}/{total / 1e6:.1f} MB"
    return f"{done:,}/{total:,} {unit}"


def console() -> Console:
    """Where results go."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, markup=False)


def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_json(value: Mapping[str, Any]) -> None:
    """Exactly one JSON object on stdout."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False))  # noqa: T201


def score_text(score: Mapping[str, Any] | None) -> str:
    """`0.862 [0.840, 0.882]`"""
    if score is None:
        return ""
    value = f"{score['value']:.3f}"
    return value if score.get("low") is None else f"{value} [{score['low']:.3f}, {score['high']:.3f}]"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A small table on stdout; numbers belong to the right, so every column but the first is right-aligned."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 3, 0, 0)
    )
    for number, column in enumerate(columns):
        drawn.add_column(column, justify="right" if number else "left", style=None, header_style="dim")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    console().print(drawn)
