"""Losses as (sum, count): the engine divides once per step, by the count over all micro-batches and processes.

Shapes: B examples, C classes, L tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from llmkit.base.dtypes import at_least_float32

__all__ = ["classification", "multi_label", "preference", "span", "squared_error", "tokens"]


def classification(
    logits_BC: Tensor, labels_B: Tensor, *, weights_C: Tensor | None = None, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Compute the cross entropy of single-label classification.

    Sum divided by count equals torch's mean reduction with the same `weight` and `label_smoothing`.

    Args:
        logits_BC: The model's logits.
        labels_B: The class index of each example.
        weights_C: The weight of each class in the loss.
        label_smoothing: The probability mass spread evenly over all classes, from 0 to 1.

    Returns:
        The summed loss in nats, and the summed class weights of the examples (without weights, their number).
    """
    logits_BC = at_least_float32(logits_BC)
    loss = functional.cross_entropy(
        logits_BC,
        labels_B,
        weight=None if weights_C is None else weights_C.to(logits_BC.dtype),
        label_smoothing=label_smoothing,
        reduction="sum",
    )
    count = torch.tensor(float(len(labels_B))) if weights_C is None else weights_C[labels_B].sum()
    return loss, count


def squared_error(predictions_B: Tensor, labels_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return the summed squared errors and the number of examples."""
    predictions_B = at_least_float32(predictions_B)
    loss = functional.mse_loss(predictions_B, labels_B.to(predictions_B.dtype), reduction="sum")
    return loss, torch.tensor(float(len(labels_B)))


def multi_label(logits_BC: Tensor, labels_BC: Tensor) -> tuple[Tensor, Tensor]:
    """Return the binary cross entropies (nats) summed over all examples and classes, and their number, B times C.

    Args:
        logits_BC: The model's logits.
        labels_BC: 1 where the example has the class, else 0.
    """
    logits_BC = at_least_float32(logits_BC)
    loss = functional.binary_cross_entropy_with_logits(
        logits_BC, labels_BC.to(logits_BC.dtype), reduction="sum"
    )
    return loss, torch.tensor(float(labels_BC.numel()))


def tokens(logits_BLC: Tensor, labels_BL: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cross entropy (nats) summed over all tokens that have a label (not -100), and their number."""
    loss = functional.cross_entropy(
        at_least_float32(logits_BLC).flatten(0, 1), labels_BL.flatten(), ignore_index=-100, reduction="sum"
    )
    return loss, (labels_BL != -100).sum().float()


def span(start_BL: Tensor, end_BL: Tensor, starts_B: Tensor, ends_B: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the loss of answer spans: the mean of the cross entropies of the first and the last token.

    Args:
        start_BL: Logits of the answer's first token.
        end_BL: Logits of the answer's last token.
        starts_B: The position of each answer's first token.
        ends_B: The position of each answer's last token.

    Returns:
        The summed loss in nats, and the number of windows B.
    """
    first = functional.cross_entropy(at_least_float32(start_BL), starts_B, reduction="sum")
    last = functional.cross_entropy(at_least_float32(end_BL), ends_B, reduction="sum")
    return (first + last) / 2, torch.tensor(float(len(starts_B)))


def preference(margins_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return the summed DPO loss, -log sigmoid of the reward margins, and the number of pairs.

    Source: Rafailov et al. 2023, Direct Preference Optimization, equation 7.
    """
    return -functional.logsigmoid(margins_B).sum(), torch.tensor(float(len(margins_B)))
