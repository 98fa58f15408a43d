"""Report the progress of long work without depending on a terminal.

Functions that take long receive a `Progress` and call it. The command line passes one that prints (cli/show.py); tests
and library users pass `SILENT`.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["SILENT", "Progress"]


class Progress(Protocol):
    """Receives the progress and the warnings of long work."""

    def note(self, text: str) -> None:
        """Report a fact or a warning, in one line."""

    def advance(self, what: str, done: int, total: int, unit: str, detail: str = "") -> None:
        """Report that `done` of `total` units of some work are done; done == total means that it is finished.

        Args:
            what: Name of the work, such as `training`.
            done: Number of units done so far.
            total: Number of units in all.
            unit: What is counted, such as `bytes`, `rows` or `steps`.
            detail: Further text to show, such as the current loss.
        """


class _Silent:
    def note(self, text: str) -> None:
        pass

    def advance(self, what: str, done: int, total: int, unit: str, detail: str = "") -> None:
        pass


SILENT: Progress = _Silent()
