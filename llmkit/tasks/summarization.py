"""Summarization: a short text that says what a long one says, scored by ROUGE against one or several summaries.

For rougeLsum, summaries are split into sentences, one per line, as in Lin (2004).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmkit.metrics.score import Statistics
from llmkit.metrics.text.rouge import rouge
from llmkit.report.wording import Wording
from llmkit.tasks._shared import generation
from llmkit.tasks._shared.baselines import lead_baseline
from llmkit.tasks._shared.generation import ERRORS, TextGeneration
from llmkit.text.sentences import split_sentences

__all__ = ["Options", "Summarization", "make"]


class Options(generation.Options):
    """Task options of summarization."""

    place = "{document}"

    language: str | None = None
    """Language of the summaries (en, zh), which chooses the tokenizer of ROUGE; null: by script."""


def make(options: Options, tuned: Mapping[str, Any]) -> Summarization:
    """Make the task."""
    return Summarization(options, tuned)


@dataclass(frozen=True)
class Summarization(TextGeneration):
    """A summary for each document."""

    options: Options

    source = "document"
    target = "summary"
    prompt = "{document}\n\nSummary:\n"
    metrics = ("rouge1", "rouge2", "rougeL", "rougeLsum")
    wording = Wording(
        title="summarization",
        purpose="summarizes a text",
        errors=ERRORS,
        error_columns={"label": "Reference summary", "prediction": "Generated summary"},
        pipeline="summarization",
        usage="generate",
    )
    error_metric = "rougeL"
    baselines = lead_baseline("document")

    def measure(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Statistics:
        def to_lines(text: str) -> str:
            """Put each sentence on a line of its own."""
            return "\n".join(text[start:end] for start, end in split_sentences(text))

        return rouge(
            [to_lines(text) for text in predictions],
            [[to_lines(text) for text in texts] for texts in references],
            language=self.options.language,
        )
