"""Errors of fetching models, data and metrics (A)."""

from __future__ import annotations

from llmkit.base.errors._base import UserError

__all__ = ["EXPLANATIONS", "AssetError"]


class AssetError(UserError):
    """A file could not be fetched."""


# code -> (title, explanation)
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "A01": (
        "no network",
        "The package index or the Hub can't be reached. Assets already in the cache work without it; "
        "PIP_INDEX_URL names another index, HF_ENDPOINT another Hub, LLMKIT_CACHE a cache that was "
        "filled elsewhere.",
    ),
    "A02": (
        "wrong hash",
        "What came is not the pinned file, so it was removed. Try again; if it happens twice, "
        "something between you and the index changes files.",
    ),
    "A03": (
        "not in the index",
        "The configured index does not carry this package or file. Use the default index, or a mirror "
        "that has it.",
    ),
    "A04": ("unknown asset", "index:NAME must be one of the assets that `llmkit doctor` lists."),
    "A05": (
        "not found on the Hub",
        "No such repository, or no such revision. Check the spelling and the revision behind the @.",
    ),
    "A06": (
        "gated or private",
        "The Hub asks for a login: accept the terms on the model's page, then run `hf auth login`.",
    ),
    "A07": (
        "connection cut",
        "The transfer broke off. What came is kept; run it again and it goes on from there.",
    ),
    "A08": (
        "data set can't be opened",
        "The Hub repository holds no data files that can be read without running its script, or has "
        "no such configuration.",
    ),
}
