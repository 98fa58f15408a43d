"""Losses as (sum, count): the engine divides once, by the count of the whole update over all processes.

Shapes: B examples, C classes, L tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["classification", "multi_label", "preference", "span", "squared_error", "tokens"]


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


def squared_error(numbers_B: Tensor, golds_B: Tensor) -> tuple[Tensor, Tensor]:
    """Summed squared errors, and the number of examples."""
    loss = functional.mse_loss(numbers_B.float(), golds_B.float(), reduction="sum")
    return loss, torch.tensor(float(len(golds_B)))


def multi_label(logits_BC: Tensor, marks_BC: Tensor) -> tuple[Tensor, Tensor]:
    """Summed binary cross entropies in nats over all examples and labels, and their number B C."""
    loss = functional.binary_cross_entropy_with_logits(logits_BC.float(), marks_BC.float(), reduction="sum")
    return loss, torch.tensor(float(marks_BC.numel()))


def tokens(logits_BLC: Tensor, labels_BL: Tensor) -> tuple[Tensor, Tensor]:
    """Summed cross entropy in nats over the tokens with a label (not -100), and their number."""
    loss = functional.cross_entropy(
        logits_BLC.float().flatten(0, 1), labels_BL.flatten(), ignore_index=-100, reduction="sum"
    )
    return loss, (labels_BL != -100).sum().float()


def span(start_BL: Tensor, end_BL: Tensor, starts_B: Tensor, ends_B: Tensor) -> tuple[Tensor, Tensor]:
    """Summed mean of the cross entropies (nats) of an answer's first and last token, and the number of windows."""
    first = functional.cross_entropy(start_BL.float(), starts_B, reduction="sum")
    last = functional.cross_entropy(end_BL.float(), ends_B, reduction="sum")
    return (first + last) / 2, torch.tensor(float(len(starts_B)))


def preference(margins_B: Tensor) -> tuple[Tensor, Tensor]:
    """Summed -log sigmoid of the reward margins (Rafailov et al. 2023, equation 7), and the number of pairs."""
    return -functional.logsigmoid(margins_B).sum(), torch.tensor(float(len(margins_B)))
