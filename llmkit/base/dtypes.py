"""Number formats of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["at_least_float32"]


def at_least_float32(numbers: Tensor) -> Tensor:
    """Convert half precision to float32, in which losses and probabilities are computed; keep float32 and float64."""
    return numbers if numbers.dtype.is_floating_point and numbers.dtype.itemsize > 4 else numbers.float()
