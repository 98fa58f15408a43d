"""Sentence pair regression: a number for two texts (semantic similarity, ...)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmkit.tasks.regression import Options, Regression

__all__ = ["Options", "make"]


def make(options: Options, tuned: Mapping[str, Any]) -> Regression:
    """Make the task."""
    return Regression(options, tuned, texts=("text", "text_pair"))
