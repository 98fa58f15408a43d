"""Errors of reading and writing files (W)."""

from __future__ import annotations

from llmkit.base.errors._base import UserError

__all__ = ["EXPLANATIONS", "StorageError"]


class StorageError(UserError):
    """The disk is full, or reading or writing failed."""

    exit_code = 74


# code -> (title, explanation)
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "W01": (
        "disk full",
        "Nothing was damaged: files appear only when complete. Free some space and run it again; a "
        "training run goes on with --resume.",
    ),
    "W02": (
        "not allowed to write",
        "This user may not write there. Choose another --out, or another cache with LLMKIT_CACHE.",
    ),
    "W03": (
        "writing failed",
        "The disk or file system reported an error. Nothing half-written is left under a file's real name.",
    ),
}
