"""What a language model writes when it is left to itself, for the eye: drawn texts beside the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.base.progress import Progress
from llmkit.base.seeds import derive

if TYPE_CHECKING:
    from llmkit.training.prepare import Prepared

__all__ = ["samples"]

TEMPERATURE = 0.8  # of the draws: below 1, else a small model soon loses itself in improbable words


def samples(prepared: Prepared, model: Any, part: str, progress: Progress) -> list[dict[str, Any]]:
    """Beginnings of rows of this part, each with what the model goes on with; the same on each process."""
    import torch

    from llmkit.engine.generation.stream import stream_tokens

    tokenizer, written = prepared.tokenizer, []
    begun = prepared.task.beginnings(prepared.examples.corpus.splits[part].columns)
    for number, (ids, wanted) in enumerate(begun):
        progress.advance("writing samples", number, len(begun), "texts")
        tokens = stream_tokens(
            model,
            ids,
            end=tokenizer.eos_token_id,
            pad=tokenizer.eos_token_id,
            max_new_tokens=min(wanted, prepared.recipe.train.max_length - len(ids)),
            temperature=TEMPERATURE,
            generator=torch.Generator().manual_seed(derive(prepared.recipe.seed, "sample", number)),
        )
        start, text = (tokenizer.decode(found, skip_special_tokens=True) for found in (ids, list(tokens)))
        written.append({"beginning": start, "text": text, "temperature": TEMPERATURE})
    if begun:
        progress.advance("writing samples", len(begun), len(begun), "texts")
    return written
