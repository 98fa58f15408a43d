"""Draw sample texts from a language model for the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.base.seeds import derive_seed
from llmkit.training.training_run import TrainingRun

if TYPE_CHECKING:
    from torch import nn

__all__ = ["write_samples"]

TEMPERATURE = 0.8  # below 1, because a small model soon drifts into improbable words


def write_samples(training: TrainingRun, model: nn.Module, split: str) -> list[dict[str, Any]]:
    """Continue the beginnings of some examples of a split; the samples are the same on every process.

    Returns:
        For each sample its `beginning`, the generated `text` and the `temperature`; [] for tasks without samples.
    """
    import torch

    from llmkit.engine.generation.stream import stream_tokens

    prepared, progress = training.prepared, training.progress
    tokenizer = prepared.tokenizer
    prompts = prepared.task.beginnings(prepared.examples.corpus.splits[split].columns)
    samples = []
    for number, (ids, length) in enumerate(prompts):
        progress.advance("writing samples", number, len(prompts), "texts")
        tokens = stream_tokens(
            model,
            ids,
            end=tokenizer.eos_token_id,
            pad=tokenizer.eos_token_id,
            max_new_tokens=min(length, prepared.recipe.train.max_length - len(ids)),
            temperature=TEMPERATURE,
            generator=torch.Generator().manual_seed(derive_seed(prepared.recipe.seed, "sample", number)),
        )
        beginning, text = (tokenizer.decode(part, skip_special_tokens=True) for part in (ids, list(tokens)))
        samples.append({"beginning": beginning, "text": text, "temperature": TEMPERATURE})
    if prompts:
        progress.advance("writing samples", len(prompts), len(prompts), "texts")
    return samples
