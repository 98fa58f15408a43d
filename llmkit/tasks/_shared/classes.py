"""What tasks with classes have in common: the head's config, checks of options, details of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmkit.base.errors import ErrorDetail, shorten_list, suggest
from llmkit.metrics.score import Score

__all__ = ["MAX_RANKED", "check_class", "class_config", "class_details"]

# Up to this many classes PR-AUC, which takes time in proportion to their number, is computed unasked. It is also how
# many probabilities a record holds.
MAX_RANKED = 20


def class_config(labels: Sequence[str], problem_type: str | None = None) -> dict[str, Any]:
    """Return the config entries of a head with a name for each output."""
    config: dict[str, Any] = {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {name: number for number, name in enumerate(labels)},
    }
    return {**config, "problem_type": problem_type} if problem_type else config


def check_class(name: str | None, labels: Sequence[str], option: str) -> list[ErrorDetail]:
    """L05: an option names a class that does not exist."""
    if name is None or name in labels:
        return []
    message = f'"{name}" is not one of the labels{suggest(name, labels)}'
    return [ErrorDetail("L05", option, message, f"choose from {shorten_list(labels, 20)}")]


def class_details(scores: Mapping[str, Mapping[str, Score]]) -> dict[str, Any]:
    """Return the scores of each class as JSON values, and its support: the number of examples behind its recall."""
    return {
        name: {**{metric: score.to_json() for metric, score in row.items()}, "support": row["recall"].n}
        for name, row in scores.items()
    }
