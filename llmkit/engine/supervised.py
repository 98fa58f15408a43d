"""Logits of a causal language model, computed only at positions that predict a token to learn.

    logits_BSV, targets_BS = compute_supervised_logits(model, batch, pad=pad)

A batch has `input_ids` and `attention_mask` (B, L); `labels` (B, L), where some of these tokens are learned too; and
`targets` (B, T), the tokens that follow the input. The head is computed only at positions where at least one example
has a token to learn, so a long prompt costs no logits.

Shapes: B examples, L input tokens, T target tokens, S positions with a token to learn, V vocabulary.
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
    """Compute the logits at all positions that predict a token to learn.

    Args:
        model: A causal language model.
        batch: Inputs, labels and targets, as the module describes.
        pad: The id of the padding token.

    Returns:
        Logits (B, S, V), and the token to predict at each position (B, S), IGNORED where an example has none.
    """
    inputs, targets_BL = build_inputs(model, batch, pad=pad)
    positions_S = (targets_BL != IGNORED).any(0).nonzero().squeeze(1)
    if "logits_to_keep" in inspect.signature(unwrap(model).forward).parameters:
        logits = model(**inputs, logits_to_keep=positions_S).logits
    else:
        logits = model(**inputs).logits[:, positions_S]
    return torch.as_tensor(logits), targets_BL[:, positions_S]


def build_inputs(model: nn.Module, batch: Mapping[str, Tensor], *, pad: int) -> tuple[dict[str, Any], Tensor]:
    """Build the model's forward arguments and the token to predict at each position.

    Args:
        model: A causal language model.
        batch: Inputs, labels and targets, as the module describes.
        pad: The id of the padding token.

    Returns:
        The keyword arguments of the model's forward, padded on the left, and the token to predict at each of their
        positions, of the same shape, IGNORED where there is none.
    """
    ids_BL, mask_BL = pad_left(batch["input_ids"], batch["attention_mask"])
    labels_BL, _ = pad_left(batch["labels"], batch["attention_mask"])
    following_BT = batch["targets"]
    labels_BL = labels_BL.masked_fill(mask_BL == 0, IGNORED)
    read_BT = following_BT[:, :-1]  # the last target is predicted but never an input
    targets_BL = torch.cat([labels_BL, following_BT], dim=1)[:, 1:]  # the token after each input token
    inputs = {
        "input_ids": torch.cat([ids_BL, read_BT.masked_fill(read_BT == IGNORED, pad)], dim=1),
        "attention_mask": torch.cat([mask_BL, (read_BT != IGNORED).to(mask_BL)], dim=1),
    }
    if "position_ids" in inspect.signature(unwrap(model).forward).parameters:
        inputs["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
    return {**inputs, "use_cache": False}, targets_BL
