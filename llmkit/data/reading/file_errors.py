"""What a reader finds wrong with one file: collected to the end, raised in one go."""

from __future__ import annotations

from typing import NoReturn

from llmkit.base.errors import DataError, ErrorDetail

__all__ = ["FileErrors", "excerpt"]

KEPT = 300  # problems of a file kept with their details; the rest is only counted


class FileErrors:
    """The problems and notes of the file `shown` (named as the user gave it)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.notes: list[str] = []
        self._problems: list[ErrorDetail] = []
        self._more = 0

    def add(self, code: str, message: str, fix: str = "", *, line: int = 0, column: int = 0) -> None:
        """One problem; line and column count from 1, 0 means none."""
        place = ":".join([self.name, *(str(number) for number in (line, column) if number)])
        if len(self._problems) < KEPT:
            self._problems.append(ErrorDetail(code, place, message, fix))
        else:
            self._more += 1

    def fail(self, code: str, message: str, fix: str = "", *, line: int = 0, column: int = 0) -> NoReturn:
        """A problem that makes the rest of the file meaningless."""
        self._more, self._problems = 0, self._problems[: KEPT - 1]
        self.add(code, message, fix, line=line, column=column)
        raise DataError.of(self._all())

    def raise_if_any(self) -> None:
        """Raise DataError when there are problems."""
        if self._problems:
            raise DataError.of(self._all())

    def _all(self) -> list[ErrorDetail]:
        if not self._more:
            return self._problems
        last = self._problems[-1].code
        return [
            *self._problems,
            ErrorDetail(last, self.name, f"{self._more:,} more problems are not listed"),
        ]


def excerpt(text: str, position: int, width: int = 40) -> str:
    """About `width` characters around a position, fit for one line of a terminal."""
    start = max(0, position - width // 2)
    return "".join(c if c.isprintable() else " " for c in text[start : start + width]).strip()
