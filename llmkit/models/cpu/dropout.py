"""Dropout from cheap random bits: 16 bits per element, where torch on a CPU draws a full random number for each.

    replace_dropout(model)  # every nn.Dropout in it, in place

The probability is rounded to a multiple of 2^-16; everything else is exact: an element is kept with probability 1 - p
and then divided by it. The bits come from numpy's SFC64 generator, which is twice as fast as torch's Mersenne Twister.
It is seeded by the next number of torch's generator, so the dropout is a function of torch's random state alone, as
torch's own dropout is.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Dropout", "draw_mask", "replace_dropout"]

STEPS = 1 << 16


class Dropout(nn.Dropout):
    """nn.Dropout with cheap random bits on a CPU; on other devices, nn.Dropout itself."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0 or self.inplace or input.device.type != "cpu":
            return super().forward(input)
        return input * draw_mask(input, self.p)


def replace_dropout(model: nn.Module) -> None:
    """Turn each nn.Dropout of the model into a `Dropout`, in place. Names, settings and weights stay the same."""
    for module in model.modules():
        if type(module) is nn.Dropout:
            module.__class__ = Dropout


def draw_mask(like: Tensor, p: float) -> Tensor:
    """Draw a dropout mask to multiply with: 0 with probability p, else 1 / (1 - p).

    Args:
        like: A tensor with the shape and type of the mask.
        p: The probability of dropping an element.
    """
    dropped = round(p * STEPS)
    if dropped == STEPS:
        return torch.zeros_like(like)
    seed = int(torch.empty((), dtype=torch.int64).random_())
    words = np.random.SFC64(seed).random_raw((like.numel() + 3) // 4)
    bits = torch.from_numpy(words.view(np.int16))[: like.numel()].view(like.shape)  # from -STEPS / 2
    mask = torch.empty(like.shape, dtype=like.dtype)
    return torch.ge(bits, dropped - STEPS // 2, out=mask).mul_(STEPS / (STEPS - dropped))
