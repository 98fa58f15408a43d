"""Which number format this device is fast at.

On a CPU without matrix units for bfloat16 a bf16 product is 10 to 150 times slower than fp32, so "auto" asks the
hardware, not the checkpoint. It decides by capability, not by timing: the same machine always decides the same.
Untested on a GPU so far; the rules are tested with stand-ins.
"""

from __future__ import annotations

from typing import Literal

import torch

from llmkit.errors import Problem, RecipeError

__all__ = ["Precision", "choose", "dtype_of"]

Precision = Literal["fp32", "bf16", "fp16"]


def choose(wanted: str, device: torch.device) -> Precision:
    """The format to use for `train.precision` on this device; RecipeError C10 where it can't work."""
    if wanted == "auto":
        return _fastest(device)
    if wanted == "fp16" and device.type != "cuda":
        raise RecipeError(
            Problem(
                "C10",
                "train.precision",
                f"fp16 needs a CUDA device, and this run is on {device.type}",
                "use train.precision=auto",
            )
        )
    if wanted == "bf16":
        return "bf16"
    return "fp16" if wanted == "fp16" else "fp32"


def dtype_of(precision: Precision) -> torch.dtype:
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _fastest(device: torch.device) -> Precision:
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    if device.type == "cpu" and torch.cpu._is_amx_tile_supported():
        return "bf16"
    return "fp32"
