"""A head over the vocabulary computed only where its logits are needed.

    logits_NV = logits_at(model, inputs, batch["labels"] != IGNORED)

Of a masked language model's tokens 15 % have a label, of a conversation's those of the answers: the head on all of
them, with its vocabulary of 30,000, would be most of the work. Shapes: B windows, L tokens, N chosen tokens, D hidden,
V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from llmkit.base.dtypes import at_least_float32

__all__ = ["compute_logits_at"]

HEADS = ("cls", "predictions", "lm_head")  # BERT, ALBERT, RoBERTa and most others


def compute_logits_at(model: nn.Module, inputs: Mapping[str, Any], chosen_BL: Tensor) -> Tensor:
    """The logits of the chosen tokens only, (N, V), in float32 (float64 for a model in float64).

    A hook hands the head its tokens, so that the model's own forward (and what wraps it, such as DDP) stays in charge.
    Where no head is found, all logits are computed and the chosen ones taken.
    """
    head = _head(model)
    if head is None:
        return at_least_float32(model(**inputs).logits[chosen_BL])
    hook = head.register_forward_pre_hook(lambda _, states_BLD: (states_BLD[0][chosen_BL], *states_BLD[1:]))
    try:
        return at_least_float32(model(**inputs).logits)
    finally:
        hook.remove()


def _head(model: nn.Module) -> nn.Module | None:
    """None also for a compiled model, which would keep the hook of its first call."""
    if hasattr(model, "_orig_mod"):
        return None
    plain: Any = getattr(model, "module", model)  # DDP
    plain = plain.get_base_model() if hasattr(plain, "get_base_model") else plain  # peft
    found = [getattr(plain, name, None) for name in HEADS]
    found.append(plain.get_output_embeddings() if hasattr(plain, "get_output_embeddings") else None)
    return next((head for head in found if isinstance(head, nn.Module)), None)
