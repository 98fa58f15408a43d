"""Errors of writing files (W)."""

from __future__ import annotations

from llmkit.base.errors._base import UserError

__all__ = ["EXPLANATIONS", "StorageError"]


class StorageError(UserError):
    """The disk is full, or writing failed."""

    exit_code = 74


# code -> (title, explanation)
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "W01": (
        "disk full",
        "No file was damaged, because a file appears under its name only when it is complete. Free some space and "
        "run the command again. Continue a training run with --resume.",
    ),
    "W02": (
        "no permission to write",
        "This user may not write to this place. Choose another --out, or another cache folder with LLMKIT_CACHE.",
    ),
    "W03": (
        "writing failed",
        "The disk or the file system reported an error. No half-written file is left under its final name.",
    ),
}
