"""What a decoder-only model expects at the tokens that are to be learned, and nowhere else.

    logits_BSV, told_BS = supervised(model, batch, pad=pad)

A batch has `input_ids` and `attention_mask` (B, L), `labels` (B, L) where some of these tokens are to be learned too,
and `targets` (B, T), which follow them. The head is computed only at places where some row has a token to learn, so a
long prompt costs no logits. Shapes: B examples, L tokens read, T tokens that follow, S such places, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from llmkit.engine.generation.generate import IGNORED, pad_left, unwrap

__all__ = ["build_inputs", "compute_supervised_logits"]


def compute_supervised_logits(
    model: nn.Module, batch: Mapping[str, Tensor], *, pad: int
) -> tuple[Tensor, Tensor]:
    """(B, S, V) logits and (B, S) the tokens they are to tell, IGNORED where a row has none at that place."""
    inputs, told_BL = build_inputs(model, batch, pad=pad)
    places_S = (told_BL != IGNORED).any(0).nonzero().squeeze(1)
    if "logits_to_keep" in inspect.signature(unwrap(model).forward).parameters:
        found = model(**inputs, logits_to_keep=places_S).logits
    else:
        found = model(**inputs).logits[:, places_S]
    return torch.as_tensor(found), told_BL[:, places_S]


def build_inputs(model: nn.Module, batch: Mapping[str, Tensor], *, pad: int) -> tuple[dict[str, Any], Tensor]:
    """What the forward of the model takes, padded on the left, and what each place is to tell (or IGNORED), (B, L)."""
    ids_BL, mask_BL = pad_left(batch["input_ids"], batch["attention_mask"])
    labels_BL, _ = pad_left(batch["labels"], batch["attention_mask"])
    follow_BT = batch["targets"]
    labels_BL = labels_BL.masked_fill(mask_BL == 0, IGNORED)
    read_BT = follow_BT[:, :-1]  # the last is told, never read
    told_BL = torch.cat([labels_BL, follow_BT], dim=1)[:, 1:]  # behind each token that is read
    inputs = {
        "input_ids": torch.cat([ids_BL, read_BT.masked_fill(read_BT == IGNORED, pad)], dim=1),
        "attention_mask": torch.cat([mask_BL, (read_BT != IGNORED).to(mask_BL)], dim=1),
    }
    if "position_ids" in inspect.signature(unwrap(model).forward).parameters:
        inputs["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
    return {**inputs, "use_cache": False}, told_BL
