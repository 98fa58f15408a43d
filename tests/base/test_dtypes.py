"""The number format of losses and probabilities."""

from __future__ import annotations

import pytest
import torch

from llmkit.base.dtypes import at_least_float32


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
        (torch.int64, torch.float32),
    ],
)
def test_half_precision_is_converted_and_float64_is_kept(dtype: torch.dtype, expected: torch.dtype) -> None:
    numbers = torch.tensor([1, 2], dtype=dtype)
    converted = at_least_float32(numbers)
    assert converted.dtype == expected and converted.tolist() == [1.0, 2.0]
    assert (converted is numbers) == (dtype == expected)
