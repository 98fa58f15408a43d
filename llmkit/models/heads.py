"""Compute a vocabulary head only at the tokens whose logits are needed.

    logits_NV = compute_logits_at(model, inputs, batch["labels"] != IGNORED)

In masked language modelling 15 % of the tokens have a label, in a conversation only those of the answers. A head over a
vocabulary of 30,000 computed at all tokens would be most of the work.

Shapes: B windows, L tokens, N selected tokens, D hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from llmkit.base.dtypes import at_least_float32

__all__ = ["compute_logits_at"]

HEADS = ("cls", "predictions", "lm_head")  # BERT, ALBERT, RoBERTa and most others


def compute_logits_at(model: nn.Module, inputs: Mapping[str, Any], selected_BL: Tensor) -> Tensor:
    """Compute the logits of the selected tokens, (N, V), in float32 (float64 for a model in float64).

    A hook passes only the selected tokens to the head, so the model's own forward, and whatever wraps the model (DDP),
    still runs. When no head is found, all logits are computed and the selected ones are returned.

    Args:
        model: A model with a head over the vocabulary.
        inputs: The keyword arguments of its forward.
        selected_BL: True at the tokens to compute logits for.
    """
    head = _find_head(model)
    if head is None:
        return at_least_float32(model(**inputs).logits[selected_BL])
    hook = head.register_forward_pre_hook(lambda _, states_BLD: (states_BLD[0][selected_BL], *states_BLD[1:]))
    try:
        return at_least_float32(model(**inputs).logits)
    finally:
        hook.remove()


def _find_head(model: nn.Module) -> nn.Module | None:
    """Return the model's head over the vocabulary.

    None when there is none, and for a compiled model, which would keep the hook of its first call.
    """
    if hasattr(model, "_orig_mod"):
        return None
    plain: Any = getattr(model, "module", model)  # without DDP
    plain = plain.get_base_model() if hasattr(plain, "get_base_model") else plain  # without peft
    candidates = [getattr(plain, name, None) for name in HEADS]
    candidates.append(plain.get_output_embeddings() if hasattr(plain, "get_output_embeddings") else None)
    return next((head for head in candidates if isinstance(head, nn.Module)), None)
