"""One text written token by token, as it is read: for a chat in the terminal.

    for token in stream(model, ids, end=end, pad=pad, max_new_tokens=256): ...

Shapes: V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["stream_tokens"]


def stream_tokens(
    model: Any,
    ids: Sequence[int],
    *,
    end: int,
    pad: int,
    max_new_tokens: int,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> Iterator[int]:
    """Ids that follow these, up to the end token, which is left out. model: decoder-only, with a cache.

    temperature 0: the most probable token each time, as `generate.generate` without beams; above: drawn from
    softmax(logits / temperature).
    """
    model.eval()
    device = next(model.parameters()).device
    read, cache = torch.tensor([list(ids)], device=device), None
    silent = None if pad == end else pad  # it says nothing
    for _ in range(max_new_tokens):
        logits_V, cache = _ahead(model, read, cache, silent)
        token = _chosen(logits_V, temperature, generator)
        if token == end:
            return
        yield token
        read = torch.tensor([[token]], device=device)


@torch.inference_mode()  # a step at a time: around a `yield` it would reach into the caller
def _ahead(model: Any, read: Tensor, cache: Any, silent: int | None) -> tuple[Tensor, Any]:
    """What may come next, and the cache with what was read."""
    found = model(input_ids=read, past_key_values=cache, use_cache=True)
    logits_V = found.logits[0, -1].float().cpu()
    if silent is not None:
        logits_V[silent] = -torch.inf
    return logits_V, found.past_key_values


def _chosen(logits_V: Tensor, temperature: float, generator: torch.Generator | None) -> int:
    if temperature == 0:
        return int(logits_V.argmax())
    return int(torch.multinomial((logits_V / temperature).softmax(0), 1, generator=generator))
