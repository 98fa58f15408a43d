"""Sentence pair classification: one label for two texts (entailment, paraphrase, ...).

The two texts are one input, as in BERT (Devlin et al. 2019, section 4.1), so that attention runs between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmkit.tasks.classification import Classification, Options

__all__ = ["Options", "make"]


def make(options: Options, tuned: Mapping[str, Any]) -> Classification:
    """Make the task."""
    return Classification(options, tuned, texts=("text", "text_pair"))
