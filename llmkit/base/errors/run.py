"""Errors of run folders and of resuming (R)."""

from __future__ import annotations

from llmkit.base.errors._base import UserError

__all__ = ["EXPLANATIONS", "RunError"]


class RunError(UserError):
    """A run folder is missing, in use, or does not fit the request."""


# code -> (title, explanation)
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "R01": (
        "no run there",
        "The folder has no recipe.yaml, so it is no run. `llmkit runs list` shows the runs.",
    ),
    "R02": (
        "run exists",
        "A run is never overwritten. Add --resume to go on with it, or choose another --out.",
    ),
    "R03": ("run in use", "Another process is writing this run folder. Two writers would spoil it."),
    "R04": ("folder not empty", "--out names a folder with other things in it."),
    "R05": ("run not finished", "The run has no model or report yet. Go on with --resume."),
    "R06": ("no test rows", "A bare model does not know any test rows. Give --data."),
    "R07": (
        "runs can't be compared",
        "A paired comparison needs the same test examples and the same labels in both runs.",
    ),
    "R08": (
        "another process has ended",
        "Of several processes one ended first: killed, out of memory, or with an error of its own. The others can't go "
        "on without it. The run is as of its last checkpoint; --resume goes on from there.",
    ),
}
