"""The root of all errors, the line that each error prints, and helpers for messages."""

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

MAX_LINES = 20  # errors printed before the rest is only counted


@dataclass(frozen=True)
class ErrorDetail:
    """One user error: its code, its place, what was found, and how to fix it.

    Attributes:
        code: A letter for the family and two digits, such as `L05`; `llmkit explain-error L05` explains it.
        place: `file:line`, `file:line:column`, a recipe key, or "" where there is no place.
        message: What was found.
        fix: What the user can do about it, in the imperative.
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
    """Base class of every error that llmkit raises on purpose."""

    exit_code = 1

    def lines(self) -> list[str]:
        """Return the lines to print."""
        return [f"error: {self}"]


class UserError(LlmkitError):
    """An error that the user can fix. Holds one error, or all errors of a kind.

    raise RecipeError("C11", "data.train", "is missing", "add data.train=reviews.jsonl")
    """

    exit_code = 2

    def __init__(self, code: str, place: str, message: str, fix: str = "") -> None:
        super().__init__(code, place, message, fix)
        self.details = [ErrorDetail(code, place, message, fix)]

    @classmethod
    def of(cls, details: ErrorDetail | Iterable[ErrorDetail]) -> Self:
        """Build one exception from one or several details. Raises ValueError when there are none."""
        known = [details] if isinstance(details, ErrorDetail) else list(details)
        if not known:
            raise ValueError("an error needs at least one detail")
        first = known[0]
        error = cls(first.code, first.place, first.message, first.fix)
        error.details = known
        return error

    def __str__(self) -> str:
        return "\n".join(map(str, self.details))

    def lines(self) -> list[str]:
        """Return one line per error, at most MAX_LINES, and how many more there are."""
        shown = [str(detail) for detail in self.details[:MAX_LINES]]
        hidden = len(self.details) - len(shown)
        return [*shown, f"... and {hidden} more errors"] if hidden else shown


class Stopped(LlmkitError):
    """A signal stopped the run after a save; `--resume` continues it."""

    exit_code = 75

    def lines(self) -> list[str]:
        return [str(self)]


class Interrupted(Stopped):
    """Ctrl-C stopped the run after a save; `--resume` continues it."""

    exit_code = 130


def raise_if(details: Sequence[ErrorDetail], kind: type[UserError]) -> None:
    """Raise all errors at once; do nothing when there are none."""
    if details:
        raise kind.of(details)


def suggest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "x"?` for the known word nearest to `word`, or "" when none is near."""
    known = list(known)
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    if not near:  # words that differ only in case can fall under the cutoff
        near = [k for k in known if k.lower() == word.lower()][:1]
    return f'; did you mean "{near[0]}"?' if near else ""


def shorten_list(items: Iterable[object], most: int = 5) -> str:
    """Return a list short enough for one line: `a, b, c and 4 more`."""
    words = [str(item) for item in items]
    rest = len(words) - most
    return ", ".join(words[:most]) + (f" and {rest} more" if rest > 0 else "")
