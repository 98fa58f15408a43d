"""Model inputs for packed blocks: positions restart with each segment, and attention stays within a segment.

Causal models get no mask: transformers finds the segments by their restarting positions, and sliding windows stay
correct. Bidirectional models get a mask (B, 1, L, L). Padding has segment 0 and attends to itself, so that no row of
the attention is empty.

Shapes: B blocks, L tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

__all__ = ["SUPPORTED_TYPES", "build_inputs", "compute_positions"]

# Model types whose packed blocks give the outputs of their segments alone; tests/models/test_packed.py compares each.
SUPPORTED_TYPES = {
    "causal": ("gpt2", "gpt_neox", "llama", "lstm", "mistral", "phi3", "qwen2", "qwen3", "smollm3"),
    "bidirectional": ("albert", "bert"),
}


def build_inputs(
    batch: Mapping[str, Tensor], direction: Literal["causal", "bidirectional"]
) -> dict[str, Any]:
    """Build the keyword arguments of a model's forward for packed blocks.

    Args:
        batch: `input_ids` and `segments`, (B, L) each; segments count from 1, and padding is 0.
        direction: Whether the model attends to earlier tokens only or to all.
    """
    segments_BL = batch["segments"]
    inputs = {"input_ids": batch["input_ids"], "position_ids": compute_positions(segments_BL)}
    if direction == "causal":
        return {**inputs, "use_cache": False}  # with a cache transformers would ignore the positions
    return {**inputs, "attention_mask": (segments_BL[:, :, None] == segments_BL[:, None, :])[:, None]}


def compute_positions(segments_BL: Tensor) -> Tensor:
    """Return positions 0, 1, 2, ... within each segment, (B, L).

    Each padded place has position 0, which makes it a segment of its own.
    """
    places_L = torch.arange(segments_BL.shape[1], device=segments_BL.device)
    begins_BL = torch.ones_like(segments_BL, dtype=torch.bool)
    begins_BL[:, 1:] = segments_BL[:, 1:] != segments_BL[:, :-1]
    starts_BL = torch.where(begins_BL, places_L, 0).cummax(dim=1).values
    return torch.where(segments_BL == 0, 0, places_L - starts_BL)
