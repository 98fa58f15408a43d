"""Summarization: a short text that says what a long one says, judged by ROUGE against one or several summaries.

For rougeLsum a summary is split into its sentences, one a line, as Lin (2004) scores them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from llmkit.metrics.score import Statistics
from llmkit.metrics.text.rouge import rouge
from llmkit.tasks._shared import generation as base
from llmkit.tasks._shared.baselines import lead_baseline
from llmkit.tasks._shared.generation import Generation
from llmkit.tasks.protocol import TaskSpec
from llmkit.text.sentences import split_sentences

__all__ = ["Options", "Summarization", "make"]


class Options(base.Options):
    """Task options of summarization."""

    place = "{document}"

    language: str | None = None
    """Language of the summaries (en, zh), which chooses the tokenizer of ROUGE; null: by script."""


def make(options: Options, tuned: Mapping[str, Any]) -> Summarization:
    """The task with these options."""
    return Summarization(options, tuned)


class Summarization(Generation):
    """A summary for each document; see `protocol.Task` for what each part is."""

    source = "document"
    target = "summary"
    prompt = "{document}\n\nSummary:\n"
    shown_worst = "rougeL"
    metrics: ClassVar[Sequence[str]] = ("rouge1", "rouge2", "rougeL", "rougeLsum")

    @property
    def spec(self) -> TaskSpec:
        return replace(super().spec, baselines=lead_baseline("document"))

    def measured(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Statistics:
        return rouge(
            [_by_line(text) for text in predictions],
            [[_by_line(text) for text in own] for own in references],
            language=self.options.language,
        )


def _by_line(text: str) -> str:
    """The text with a sentence a line."""
    return "\n".join(text[start:end] for start, end in split_sentences(text))
