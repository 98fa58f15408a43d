"""Collect the errors of one data file and raise all of them together."""

from __future__ import annotations

from typing import NoReturn

from llmkit.base.errors import DataError, ErrorDetail, raise_if

__all__ = ["FileErrors", "excerpt"]

MAX_DETAILS = 300  # errors of a file that are kept in full; further errors are only counted


class FileErrors:
    """The errors and notes of one file.

    Attributes:
        name: The file's name as the user wrote it; every error's place begins with it.
        notes: What the user should know about the file although it is no error.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.notes: list[str] = []
        self._details: list[ErrorDetail] = []
        self._uncollected = 0

    def add(self, code: str, message: str, fix: str = "", *, line: int = 0, column: int = 0) -> None:
        """Add an error. Lines and columns count from 1; 0 means that the error has none."""
        place = ":".join([self.name, *(str(number) for number in (line, column) if number)])
        if len(self._details) < MAX_DETAILS:
            self._details.append(ErrorDetail(code, place, message, fix))
        else:
            self._uncollected += 1

    def fail(self, code: str, message: str, fix: str = "", *, line: int = 0, column: int = 0) -> NoReturn:
        """Raise DataError with this error behind the collected ones, because reading on would be pointless."""
        self._uncollected, self._details = 0, self._details[: MAX_DETAILS - 1]
        self.add(code, message, fix, line=line, column=column)
        raise DataError.of(self._details)

    def raise_if_any(self) -> None:
        """Raise DataError with all errors; do nothing when there are none."""
        details = self._details
        if self._uncollected:
            message = f"{self._uncollected:,} more errors are not listed"
            details = [*details, ErrorDetail(details[-1].code, self.name, message)]
        raise_if(details, DataError)


def excerpt(text: str, position: int, width: int = 40) -> str:
    """Return about `width` characters around a position, with blanks for unprintable characters."""
    start = max(0, position - width // 2)
    return "".join(c if c.isprintable() else " " for c in text[start : start + width]).strip()
