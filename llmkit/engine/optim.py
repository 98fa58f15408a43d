"""AdamW, and the learning rate as a pure function of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

__all__ = ["Schedule", "build_adamw", "build_parameter_groups"]


@dataclass(frozen=True)
class Schedule:
    """Learning rate schedule: linear warm-up from 0 to `peak`, then constant, or linear or cosine decay to 0."""

    peak: float
    total_steps: int
    warmup_steps: int
    kind: Literal["linear", "cosine", "constant"]

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 1. It is above 0 also at the last step of a decay."""
        if step <= self.warmup_steps:
            return self.peak * step / self.warmup_steps
        if self.kind == "constant":
            return self.peak
        passed = (step - self.warmup_steps - 1) / max(1, self.total_steps - self.warmup_steps)
        return self.peak * ((1 - passed) if self.kind == "linear" else (1 + math.cos(math.pi * passed)) / 2)


def build_parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Group the trainable parameters: matrices get weight decay; biases, norms and other vectors do not.

    BERT and GPT are trained this way.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]


def build_adamw(model: nn.Module, weight_decay: float) -> torch.optim.AdamW:
    """Build a fused AdamW optimizer (Loshchilov and Hutter 2019). The training loop sets its rate at each step."""
    return torch.optim.AdamW(build_parameter_groups(model, weight_decay), lr=0.0, fused=True)
