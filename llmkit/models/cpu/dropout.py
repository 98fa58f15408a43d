"""Dropout from cheap random bits: 16 of them decide on an element, where torch's own on a CPU draws a whole number.

    swap(model)  # every nn.Dropout in it, in place

Exact but for the probability, which is rounded to a multiple of 2^-16: an element stays with probability 1 - p and is
then divided by it. The bits are SFC64's (numpy; twice as fast as torch's Mersenne twister), seeded by the next number
of torch's, so that like torch's own dropout this is a function of torch's random state alone.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Dropout", "draw_mask", "replace_dropout"]

STEPS = 1 << 16


class Dropout(nn.Dropout):
    """As nn.Dropout; on other devices than a CPU it is that."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0 or self.inplace or input.device.type != "cpu":
            return super().forward(input)
        return input * draw_mask(input, self.p)


def replace_dropout(model: nn.Module) -> None:
    """Make each nn.Dropout of the model one of ours. Its weights, names and settings stay as they are."""
    for module in model.modules():
        if type(module) is nn.Dropout:
            module.__class__ = Dropout


def draw_mask(like: Tensor, p: float) -> Tensor:
    """What to multiply with, of this tensor's shape and type: 0 with probability p, else 1 / (1 - p)."""
    dropped = round(p * STEPS)
    if dropped == STEPS:
        return torch.zeros_like(like)
    seed = int(torch.empty((), dtype=torch.int64).random_())
    words = np.random.SFC64(seed).random_raw((like.numel() + 3) // 4)
    draws = torch.from_numpy(words.view(np.int16))[: like.numel()].view(like.shape)  # from -STEPS / 2
    kept = torch.empty(like.shape, dtype=like.dtype)
    return torch.ge(draws, dropped - STEPS // 2, out=kept).mul_(STEPS / (STEPS - dropped))
