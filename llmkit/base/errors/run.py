"""Errors of run folders and of resuming (R)."""

from __future__ import annotations

from llmkit.base.errors._base import UserError

__all__ = ["EXPLANATIONS", "RunError"]


class RunError(UserError):
    """A run folder is missing or in use, or does not fit the command."""


# code -> (title, explanation)
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "R01": (
        "not a run folder",
        "The folder has no recipe.yaml, so it is not a run. `llmkit runs list` lists the runs.",
    ),
    "R02": (
        "run exists",
        "llmkit never overwrites a run. Add --resume to continue it, or choose another --out.",
    ),
    "R03": (
        "run in use",
        "Another process is writing to this run folder, and two writers would damage it. Wait until it has "
        "finished, or choose another --out.",
    ),
    "R04": (
        "output path in use",
        "--out names a file, or a folder that holds something else. llmkit never overwrites it. Choose a new or "
        "an empty folder.",
    ),
    "R05": (
        "run not finished",
        "The run has no model or no report yet, or its report is damaged. Finish the run with --resume.",
    ),
    "R06": (
        "no test set",
        "A model on its own has no test set, unlike a run. Give labelled data with --data.",
    ),
    "R07": (
        "runs can't be compared",
        "A paired comparison needs two runs with the same test examples and the same labels.",
    ),
    "R08": (
        "another process has exited",
        "One of the processes exited early: it was killed, ran out of memory or stopped with an error of its own. "
        "The others can't continue without it. Continue from the last checkpoint with --resume.",
    ),
}
