"""Choose the number format of a computation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["at_least_float32"]


def at_least_float32(numbers: Tensor) -> Tensor:
    """Convert integers and half precision to float32; return float32 and float64 tensors unchanged.

    Losses and probabilities are computed in the result.
    """
    return numbers if numbers.dtype.is_floating_point and numbers.dtype.itemsize > 4 else numbers.float()
