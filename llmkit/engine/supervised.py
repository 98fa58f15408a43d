"""What a decoder-only model expects at the tokens that are to be learned, and nowhere else.

    logits_BSV, told_BS = supervised(model, batch, pad=pad)

A batch has `input_ids` and `attention_mask` (B, L), `labels` (B, L) where some of these tokens are to be learned too,
and `targets` (B, T), which follow them. The head is computed only at places where some row has a token to learn, so a
long prompt costs no logits. Shapes: B examples, L tokens read, T tokens that follow, S such places, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from llmkit.engine.generate import IGNORED, left_padded, unwrapped

__all__ = ["supervised"]


def supervised(model: nn.Module, batch: Mapping[str, Tensor], *, pad: int) -> tuple[Tensor, Tensor]:
    """(B, S, V) logits and (B, S) the tokens they are to tell, IGNORED where a row has none at that place."""
    ids_BL, mask_BL = left_padded(batch["input_ids"], batch["attention_mask"])
    labels_BL, _ = left_padded(batch["labels"], batch["attention_mask"])
    follow_BT = batch["targets"]
    labels_BL = labels_BL.masked_fill(mask_BL == 0, IGNORED)
    read_BT = follow_BT[:, :-1]  # the last is told, never read
    told_B_ = torch.cat([labels_BL, follow_BT], dim=1)[:, 1:]  # behind each token that is read
    places_S = (told_B_ != IGNORED).any(0).nonzero().squeeze(1)
    inputs = {
        "input_ids": torch.cat([ids_BL, read_BT.masked_fill(read_BT == IGNORED, pad)], dim=1),
        "attention_mask": torch.cat([mask_BL, (read_BT != IGNORED).to(mask_BL)], dim=1),
    }
    known = inspect.signature(unwrapped(model).forward).parameters
    if "position_ids" in known:
        inputs["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
    if "logits_to_keep" in known:
        found = model(**inputs, use_cache=False, logits_to_keep=places_S).logits
    else:
        found = model(**inputs, use_cache=False).logits[:, places_S]
    return torch.as_tensor(found), told_B_[:, places_S]
