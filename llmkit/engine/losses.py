"""Losses as (sum, count): the engine divides once, by the count of the whole update over all processes.

Shapes: B examples, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["classification"]


def classification(
    logits_BC: Tensor, labels_B: Tensor, *, weights_C: Tensor | None = None, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Summed cross entropy in nats, and what to divide it by: the sum of the examples' class weights.

    Equal to torch's mean reduction with the same weight and label_smoothing, when divided.
    """
    loss = functional.cross_entropy(
        logits_BC.float(), labels_B, weight=weights_C, label_smoothing=label_smoothing, reduction="sum"
    )
    count = torch.tensor(float(len(labels_B))) if weights_C is None else weights_C[labels_B].sum()
    return loss, count
