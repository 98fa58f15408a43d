"""What can go wrong, one class a kind, an exit code for each.

    LlmkitError                   1   never raised itself
    +-- UserError                 2   the user's mistake: one line a problem, with the place and the fix
    |   +-- RecipeError               C..  a recipe or an override
    |   +-- DataError                 F.. J.. L..  a file, a row, a text or a label
    |   +-- ModelError                M..  a checkpoint, a tokenizer, an adapter
    |   +-- AssetError                A..  something to be fetched
    |   +-- RunError                  R..  a run folder, a resume
    |   +-- TrainingError             T..  numbers that went bad
    +-- StorageError             74   disk full, input or output failed
    +-- Stopped                  75   stopped by a signal, saved, resume later
        +-- Interrupted         130   stopped by Ctrl-C, saved

Ctrl-C where there is nothing to save leaves with 130 as well, a bug of ours with 1.
`explanations.py` holds a paragraph for each code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

__all__ = [
    "AssetError",
    "DataError",
    "Interrupted",
    "LlmkitError",
    "ModelError",
    "Problem",
    "RecipeError",
    "RunError",
    "Stopped",
    "StorageError",
    "TrainingError",
    "UserError",
    "closest",
    "raise_if",
    "some",
]

SHOWN = 20  # problems printed before the rest is only counted


@dataclass(frozen=True)
class Problem:
    """One mistake: its code, where it is, what was found, and what to do.

    place is `file:line`, `file:line:column`, a recipe key, or "" where there is none.
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
        return "".join(
            c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line
        )  # names come from files


class LlmkitError(Exception):
    """The root: everything llmkit raises on purpose."""

    exit_code = 1

    def lines(self) -> list[str]:
        return [f"error: {self}"]


class UserError(LlmkitError):
    """The user's mistake. Holds one problem or all problems of a kind."""

    exit_code = 2

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def lines(self) -> list[str]:
        shown = [str(problem) for problem in self.problems[:SHOWN]]
        hidden = len(self.problems) - len(shown)
        return [*shown, f"... and {hidden} more problems"] if hidden else shown


class RecipeError(UserError):
    """A recipe or an override is wrong."""


class DataError(UserError):
    """A data file, a row, a text or a label is wrong."""


class ModelError(UserError):
    """A checkpoint, a tokenizer or an adapter can't be used."""


class AssetError(UserError):
    """Something could not be fetched."""


class RunError(UserError):
    """A run folder is missing, in use, or does not fit what is asked of it."""


class TrainingError(UserError):
    """Training met numbers it must not use."""


class StorageError(UserError):
    """The disk is full, or reading or writing failed."""

    exit_code = 74


class Stopped(LlmkitError):
    """A signal stopped the run after a save; `--resume` goes on."""

    exit_code = 75

    def lines(self) -> list[str]:
        return [str(self)]


class Interrupted(Stopped):
    """Ctrl-C stopped the run after a save; `--resume` goes on."""

    exit_code = 130


def raise_if(problems: Sequence[Problem], kind: type[UserError]) -> None:
    """Raise all the problems in one go; do nothing when there are none."""
    if problems:
        raise kind(problems)


def closest(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?`, or nothing when no known word is near."""
    known = list(known)
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    if not near:  # case apart, words can be equal and still not "near"
        near = [k for k in known if k.lower() == word.lower()][:1]
    return f'; did you mean "{near[0]}"?' if near else ""


def some(items: Iterable[object], most: int = 5) -> str:
    """`a, b, c and 4 more`: a list short enough for one line."""
    words = [str(item) for item in items]
    rest = len(words) - most
    return ", ".join(words[:most]) + (f" and {rest} more" if rest > 0 else "")
