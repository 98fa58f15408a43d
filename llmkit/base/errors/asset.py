"""Errors of downloading models, data and metrics (A)."""

from __future__ import annotations

from llmkit.base.errors._base import UserError

__all__ = ["EXPLANATIONS", "AssetError"]


class AssetError(UserError):
    """A file could not be downloaded."""


# code -> (title, explanation)
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "A01": (
        "no network",
        "The package index or the Hub can't be reached. Files that are already in the cache work offline. "
        "PIP_INDEX_URL sets another index, HF_ENDPOINT another Hub, and LLMKIT_CACHE another cache folder, such "
        "as one that was filled on a machine with a network.",
    ),
    "A02": (
        "wrong hash",
        "The downloaded file is not the expected one, so it was deleted. Try again. If it happens twice, "
        "something between this machine and the index changes files.",
    ),
    "A03": (
        "not in the index",
        "The configured package index does not have this package or file. Use the default index, or a mirror that "
        "has it.",
    ),
    "A04": ("unknown asset", "index:NAME must be one of the names that `llmkit doctor` lists."),
    "A05": (
        "not found on the Hub",
        "The Hub has no such repository, or the repository has no such revision. Check the spelling, and the "
        "revision after the @.",
    ),
    "A06": (
        "gated or private",
        "The Hub gives this repository only to users who are logged in. Accept the terms on its page, then run "
        "`hf auth login`.",
    ),
    "A07": (
        "connection lost",
        "The download was interrupted. What arrived is kept. Run the command again to continue the download.",
    ),
    "A08": (
        "data set can't be opened",
        "The Hub repository has no data files that can be read without running its script, or it has no "
        "configuration of this name.",
    ),
}
