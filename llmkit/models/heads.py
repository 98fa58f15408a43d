"""A head over the vocabulary computed only where its logits are needed.

Of a masked language model's tokens 15 % have a label: the head on all of them, with its vocabulary of 30,000, would be
most of the work. The head module gets only those hidden states, through a hook, so that the model's own forward (and
what wraps it, such as DDP) stays in charge.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

__all__ = ["only_at"]

HEADS = ("cls", "predictions", "lm_head")  # BERT, ALBERT, RoBERTa and most others


@contextmanager
def only_at(model: nn.Module, chosen_BL: Tensor) -> Iterator[bool]:
    """Inside, the logits come as (N, V), those of the N chosen tokens; yields False where no head is known, and the
    logits come whole."""
    plain: Any = getattr(model, "module", model)  # DDP
    plain = plain.get_base_model() if hasattr(plain, "get_base_model") else plain  # peft
    head = next(
        (getattr(plain, name) for name in HEADS if isinstance(getattr(plain, name, None), nn.Module)), None
    )
    if head is None:
        yield False
        return
    hook = head.register_forward_pre_hook(lambda _, states: (states[0][chosen_BL], *states[1:]))
    try:
        yield True
    finally:
        hook.remove()
