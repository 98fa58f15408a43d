"""Choose the floating-point format of a device.

`train.precision=auto` depends on the hardware's capabilities, not on a timing, so that one machine always chooses the
same format. On a CPU it is always fp32. Without matrix units, a bf16 matrix product is 10 to 150 times slower than in
fp32. With them (AMX) products are fast, but steps on short texts are not: fine-tuning MiniLM in bf16 took 1.1 to 1.3
times as long and 1.6 times the memory. A choice by processor would also make results depend on its generation.

Tested only with stand-ins for GPUs so far.
"""

from __future__ import annotations

from typing import Literal

import torch

from llmkit.base.errors import RecipeError

__all__ = ["Precision", "choose_precision", "get_dtype"]

Precision = Literal["fp32", "bf16", "fp16"]


def choose_precision(setting: str, device: torch.device) -> Precision:
    """Return the format to use on a device.

    Args:
        setting: The value of `train.precision`: `auto`, `fp32`, `bf16` or `fp16`. On CUDA, `auto` is bf16 from
            compute capability 8.0 on, else fp16.
        device: The device of the run.

    Raises:
        RecipeError: C10, fp16 on a device other than CUDA.
    """
    if setting == "auto":
        if device.type != "cuda":
            return "fp32"
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    if setting == "fp16" and device.type != "cuda":
        raise RecipeError(
            "C10",
            "train.precision",
            f"fp16 needs a CUDA device, and this run uses {device.type}",
            "use train.precision=auto",
        )
    if setting == "bf16":
        return "bf16"
    return "fp16" if setting == "fp16" else "fp32"


def get_dtype(precision: Precision) -> torch.dtype:
    """Return the torch type of a format."""
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
