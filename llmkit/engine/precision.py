"""Which number format this device is fast at.

"auto" asks the hardware, not the checkpoint, and goes by capability, not by timing: the same machine always decides
the same. On a CPU it is always fp32. Without matrix units a bf16 product is 10 to 150 times slower than fp32; with
them (AMX) products are fast, but a step on short texts is not: fine-tuning MiniLM took 1.1 to 1.3 times as long in
bf16, and 1.6 times the memory. The choice of format would also make results depend on the processor's generation.
Untested on a GPU so far; the rules are tested with stand-ins.
"""

from __future__ import annotations

from typing import Literal

import torch

from llmkit.base.errors import RecipeError

__all__ = ["Precision", "choose_precision", "get_dtype"]

Precision = Literal["fp32", "bf16", "fp16"]


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """The format to use for `train.precision` on this device; RecipeError C10 where it can't work."""
    if wanted == "auto":
        return _fastest(device)
    if wanted == "fp16" and device.type != "cuda":
        raise RecipeError(
            "C10",
            "train.precision",
            f"fp16 needs a CUDA device, and this run is on {device.type}",
            "use train.precision=auto",
        )
    if wanted == "bf16":
        return "bf16"
    return "fp16" if wanted == "fp16" else "fp32"


def get_dtype(precision: Precision) -> torch.dtype:
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _fastest(device: torch.device) -> Precision:
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    return "fp32"
