"""Draw sample texts from a language model for the report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from llmkit.base.seeds import derive_seed
from llmkit.report.report import Sample
from llmkit.tasks._shared.language_model import get_start_token
from llmkit.training.training_run import TrainingRun

if TYPE_CHECKING:
    from torch import nn

__all__ = ["write_samples"]

MAX_SAMPLES = 3
PROMPT_CHARACTERS, SAMPLE_CHARACTERS = 20, 300  # of the beginning, and (about) of the generated text
TEMPERATURE = 0.8  # below 1, because a small model soon drifts into improbable words


def write_samples(training: TrainingRun, model: nn.Module, split: str) -> list[Sample]:
    """Continue the beginnings of some examples of a split; the samples are the same on every process.

    Returns:
        The samples; [] for tasks without samples.
    """
    import torch

    from llmkit.engine.generation.stream import stream_tokens

    prepared, progress = training.prepared, training.progress
    tokenizer = prepared.tokenizer
    prompts = []
    if prepared.task.spec.writes_samples:
        prompts = _make_prompts(prepared.examples.corpus.splits[split].column("text"), tokenizer)
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
        beginning, text = (
            str(tokenizer.decode(part, skip_special_tokens=True)) for part in (ids, list(tokens))
        )
        samples.append(Sample(beginning, text, TEMPERATURE))
    if prompts:
        progress.advance("writing samples", len(prompts), len(prompts), "texts")
    return samples


def _make_prompts(rows: Iterable[str], tokenizer: Any) -> list[tuple[list[int], int]]:
    """Return the beginnings of some texts, spread evenly over those that are long enough.

    Returns:
        Token ids of each beginning, and the number of tokens to generate: about SAMPLE_CHARACTERS characters.
    """
    texts = [text for text in rows if len(text) > 2 * PROMPT_CHARACTERS]
    count = min(MAX_SAMPLES, len(texts))
    prompts = []
    for text in (texts[len(texts) * number // MAX_SAMPLES] for number in range(count)):
        ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        beginning = text[:PROMPT_CHARACTERS]
        whole_words = beginning.rpartition(" ")[0] or beginning
        prompt = tokenizer(whole_words, add_special_tokens=False)["input_ids"]
        length = round(SAMPLE_CHARACTERS * len(ids) / len(text))
        prompts.append(([get_start_token(tokenizer), *prompt], length))
    return prompts
