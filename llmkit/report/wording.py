"""The words that the report and the model card use for a task.

Each task has its wording in its spec; the report knows no task by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Wording"]

Usage = Literal[
    "base",
    "classify",
    "regress",
    "labels",
    "tag_words",
    "extract",
    "fill_mask",
    "continue",
    "conversation",
    "generate",
]


@dataclass(frozen=True)
class Wording:
    """The words for one task. The defaults fit any task that predicts classes."""

    title: str = "a task"
    """What the model was fine-tuned for, inside a sentence."""
    purpose: str = ""
    """What the model does: "This model PURPOSE."."""
    about: str = ""
    """A paragraph of the model card on intended use."""
    about_thresholds: str = ""
    """A paragraph of the model card if thresholds were tuned."""
    about_usage: str = ""
    """A paragraph of the model card after the example code."""
    class_names: tuple[str, str] = ("class", "classes")
    """What is predicted, in the singular and the plural."""
    counts: tuple[str, str] | None = None
    """Caption and first column of the table of label counts; None for "Examples by class"."""
    min_counts: int = 1
    """Smallest number of different labels for which label counts are shown."""
    errors: tuple[str, str] = ("Most confident errors", "Wrong predictions, most confident first")
    """Title of the section of errors, and caption of its table."""
    error_columns: Mapping[str, str] = field(default_factory=dict)
    """Titles of columns in that table that differ from the usual ones."""
    reads_windows: bool = False
    """Whether longer texts are read in several windows."""
    pipeline: str | None = None
    """The Hub's name of the task (pipeline_tag)."""
    usage: Usage = "base"
    """Which example code of `usage.j2` shows the model in plain transformers."""
    usage_input: str = '"Your text."'
    """The input in that code, as Python."""
    usage_truncation: str = "True"
    """The tokenizer's `truncation` in that code, as Python."""
    command_input: str = '"Your text."'
    """What follows `llmkit predict RUN`."""
