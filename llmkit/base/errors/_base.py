"""The base classes of all errors, the line that an error prints, and helpers for messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Self

__all__ = [
    "MAX_LINES",
    "ErrorDetail",
    "Interrupted",
    "LlmkitError",
    "Stopped",
    "UserError",
    "raise_if",
    "shorten_list",
    "suggest",
]

MAX_LINES = 20  # errors that are printed; further errors are only counted


@dataclass(frozen=True)
class ErrorDetail:
    """One user error: its code, its place, the message, and how to fix it.

    Attributes:
        code: A letter for the family and two digits, such as `L05`. `llmkit explain-error L05` explains it.
        place: `file:line`, `file:line:column`, a recipe key, or "" if there is no place.
        message: What is wrong, without a full stop.
        fix: What the user can do, in the imperative and without a full stop; may be "".
    """

    code: str
    place: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        place = f" {self.place}:" if self.place else ""
        end = "" if self.message.endswith("?") else "."
        fix = f" Fix: {self.fix}" if self.fix else ""
        line = " ".join(f"error[{self.code}]{place} {self.message}{end}{fix}".split())
        # Places and messages quote file contents, which may hold control characters.
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


class LlmkitError(Exception):
    """Base class of every error that llmkit raises for the user to read."""

    exit_code = 1

    def lines(self) -> list[str]:
        """Return the lines to print for the user."""
        return [f"error: {self}"]


class UserError(LlmkitError):
    """An error that the user can fix. One exception can hold several errors.

        raise RecipeError("C11", "data.train", "is missing", "add data.train=reviews.jsonl")

    Attributes:
        details: The errors, in the order in which they are printed.
    """

    exit_code = 2

    def __init__(self, code: str, place: str, message: str, fix: str = "") -> None:
        super().__init__(code, place, message, fix)
        self.details = [ErrorDetail(code, place, message, fix)]

    @classmethod
    def of(cls, details: ErrorDetail | Iterable[ErrorDetail]) -> Self:
        """Build one exception from one or several details. Raises ValueError when there are none."""
        all_details = [details] if isinstance(details, ErrorDetail) else list(details)
        if not all_details:
            raise ValueError("an error needs at least one detail")
        first = all_details[0]
        error = cls(first.code, first.place, first.message, first.fix)
        error.details = all_details
        return error

    def __str__(self) -> str:
        return "\n".join(map(str, self.details))

    def lines(self) -> list[str]:
        """Return one line per error. Beyond MAX_LINES errors, one more line counts the others."""
        lines = [str(detail) for detail in self.details]
        if (
            len(lines) <= MAX_LINES + 1
        ):  # a line that counts a single error would take as much room as the error
            return lines
        return [*lines[:MAX_LINES], f"... and {len(lines) - MAX_LINES} more errors"]


class Stopped(LlmkitError):
    """A signal stopped the run after it was saved; `--resume` continues it."""

    exit_code = 75

    def lines(self) -> list[str]:
        return [str(self)]


class Interrupted(Stopped):
    """Ctrl-C stopped the run after it was saved; `--resume` continues it."""

    exit_code = 130


def raise_if(details: Sequence[ErrorDetail], kind: type[UserError]) -> None:
    """Raise all errors at once; do nothing when there are none."""
    if details:
        raise kind.of(details)


def suggest(word: str, candidates: Iterable[str]) -> str:
    """Return `; did you mean "x"?` with the candidate most similar to `word`, or "" if none is similar."""
    candidates = list(candidates)
    similar = get_close_matches(word, candidates, n=1, cutoff=0.6)
    if not similar:  # words that differ only in case can be below the cutoff
        similar = [candidate for candidate in candidates if candidate.lower() == word.lower()][:1]
    return f'; did you mean "{similar[0]}"?' if similar else ""


def shorten_list(items: Iterable[object], most: int = 5) -> str:
    """Return the first items, comma-separated, and a count of the others: `a, b, c and 4 more`.

    Args:
        items: The items to list.
        most: The number of items to show.
    """
    words = [str(item) for item in items]
    hidden = len(words) - most
    return ", ".join(words[:most]) + (f" and {hidden} more" if hidden > 0 else "")
