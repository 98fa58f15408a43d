"""The optimizer, and the learning rate as a pure function of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

__all__ = ["Schedule", "build_adamw", "build_parameter_groups"]


@dataclass(frozen=True)
class Schedule:
    """Warm-up from 0 to the peak, then linear or cosine to 0, or constant. Steps count from 1."""

    peak: float
    total_steps: int
    warmup_steps: int
    kind: Literal["linear", "cosine", "constant"]

    def learning_rate(self, step: int) -> float:
        """The learning rate of this update; the last update of a decay still moves the weights."""
        if step <= self.warmup_steps:
            return self.peak * step / self.warmup_steps
        if self.kind == "constant":
            return self.peak
        passed = (step - self.warmup_steps - 1) / max(1, self.total_steps - self.warmup_steps)
        return self.peak * ((1 - passed) if self.kind == "linear" else (1 + math.cos(math.pi * passed)) / 2)


def build_parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Trainable matrices with decay; biases, norms and other vectors without (as BERT and GPT are trained)."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]


def build_adamw(model: nn.Module, weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) in one fused kernel; the learning rate is set at each step."""
    return torch.optim.AdamW(build_parameter_groups(model, weight_decay), lr=0.0, fused=True)
