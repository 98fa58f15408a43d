"""Generate one text token by token and yield each token at once, for a chat in the terminal.

    for token in stream_tokens(model, ids, end=end, pad=pad, max_new_tokens=256): ...

Shapes: V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from llmkit.base.cache_name import get_cache_name

__all__ = ["stream_tokens"]


def stream_tokens(
    model: nn.Module,
    ids: Sequence[int],
    *,
    end: int,
    pad: int,
    max_new_tokens: int,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> Iterator[int]:
    """Yield the generated token ids, without the end token.

    Args:
        model: A decoder-only model with a cache.
        ids: The prompt.
        end: The id of the end token.
        pad: The id of the padding token, which is never generated.
        max_new_tokens: The largest number of tokens to generate.
        temperature: 0 takes the most probable token each time, like `generate.generate` without beams; above 0, tokens
            are drawn from softmax(logits / temperature).
        generator: The random numbers to draw tokens with; None: torch's default generator.
    """
    model.eval()
    device = next(model.parameters()).device
    inputs, cache = torch.tensor([list(ids)], device=device), None
    suppressed = None if pad == end else pad
    for _ in range(max_new_tokens):
        logits_V, cache = _predict_next(model, inputs, cache, suppressed)
        if temperature == 0:
            token = int(logits_V.argmax())
        else:
            token = int(torch.multinomial((logits_V / temperature).softmax(0), 1, generator=generator))
        if token == end:
            return
        yield token
        inputs = torch.tensor([[token]], device=device)


@torch.inference_mode()  # for one token at a time: around the `yield` it would also apply to the caller
def _predict_next(model: nn.Module, inputs: Tensor, cache: Any, suppressed: int | None) -> tuple[Tensor, Any]:
    """Return the logits of the next token (V,), on the CPU, and the cache after the inputs."""
    output = model(input_ids=inputs, use_cache=True, **{get_cache_name(): cache})
    logits_V = output.logits[0, -1].float().cpu()
    if suppressed is not None:
        logits_V[suppressed] = -torch.inf
    return logits_V, output[get_cache_name()]
