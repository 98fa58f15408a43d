"""How long work says where it is, without knowing who listens.

Core code calls a Progress; the terminal renders it (cli/show.py), tests and libraries pass `SILENT`.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["SILENT", "Progress"]


class Progress(Protocol):
    """A listener of work that takes time."""

    def note(self, text: str) -> None:
        """Something the user should know, said once: one line."""

    def advance(self, what: str, done: int, total: int, unit: str, detail: str = "") -> None:
        """`what` has reached `done` of `total` units (bytes, rows, steps); done == total ends it."""


class _Silent:
    def note(self, text: str) -> None:
        pass

    def advance(self, what: str, done: int, total: int, unit: str, detail: str = "") -> None:
        pass


SILENT: Progress = _Silent()
