"""Statistics of a run for its report: data, lengths in tokens, curves and training figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from llmkit.data.encoding.features import TokenCounts
from llmkit.report.report import (
    Curves,
    Data,
    Evaluation,
    LengthBin,
    Lengths,
    SplitCounts,
    Step,
    TrainingFigures,
)
from llmkit.training.prepare import Prepared
from llmkit.training.training_run import TrainingRun

if TYPE_CHECKING:
    from torch import nn

__all__ = ["compute_figures", "describe_data", "measure_lengths", "read_curves"]


def describe_data(prepared: Prepared) -> Data:
    """Count the examples and classes of each split, and name its source."""
    corpus, data, counts = prepared.examples.corpus, prepared.recipe.data, prepared.examples.label_counts
    return Data(
        splits={name: SplitCounts(len(rows), counts.get(name, {})) for name, rows in corpus.splits.items()},
        fingerprint=corpus.fingerprint,
        sources={"train": data.train, "validation": data.validation, "test": data.test},
    )


def measure_lengths(prepared: Prepared) -> Lengths:
    """Measure lengths, truncation and unknown tokens over all splits."""
    encoded = prepared.encoded.values()
    lengths = np.concatenate([windows.lengths for windows in encoded])
    counts = sum((windows.counts for windows in encoded), TokenCounts())
    edges = np.unique(np.linspace(0, max(8, int(lengths.max())), 25).round().astype(int))
    heights, _ = np.histogram(lengths, edges)
    bins = zip(edges[:-1].tolist(), edges[1:].tolist(), heights.tolist(), strict=True)
    return Lengths(
        max_length=prepared.recipe.train.max_length,
        bins=[LengthBin(low, high, count) for low, high, count in bins],
        mean=float(lengths.mean()),
        longest=counts.longest,
        cut_examples=counts.cut_examples,
        cut_tokens_share=counts.cut_tokens / max(1, counts.tokens + counts.cut_tokens),
        unknown_tokens_share=counts.unknown_tokens / max(1, counts.tokens),
    )


def read_curves(training: TrainingRun) -> Curves:
    """Read losses, learning rates and validation scores from the log of the run."""
    log = training.folder.read_log()
    return Curves(
        steps=[
            Step(line["step"], line["loss"], line["learning_rate"], line["grad_norm"])
            for line in log
            if line["kind"] == "step"
        ],
        evaluations=[
            Evaluation(line["step"], {key: line[key] for key in line if key not in ("kind", "step")})
            for line in log
            if line["kind"] == "evaluation"
        ],
        best_step=training.state.best_step,
    )


def compute_figures(training: TrainingRun, model: nn.Module, peak: int, trainable: int) -> TrainingFigures:
    """Compute speed, memory and sizes of a finished training.

    Args:
        training: The run after its last step.
        model: The model, with adapters merged where the recipe merges them.
        peak: Peak memory in bytes.
        trainable: Number of trainable parameters, before adapters were merged.
    """
    state = training.state
    seconds = max(state.seconds, 1e-9)
    return TrainingFigures(
        seconds=state.seconds,
        evaluation_seconds=state.evaluation_seconds,
        steps=state.step,
        examples_per_second=state.examples / seconds,
        tokens_per_second=state.tokens / seconds,
        padding_efficiency=state.tokens / max(1, state.padded_tokens),
        peak_memory_bytes=peak,
        parameters=sum(p.numel() for p in model.parameters()),
        trainable_parameters=trainable,
        precision=training.session.precision,
        world_size=training.session.world_size,
    )
