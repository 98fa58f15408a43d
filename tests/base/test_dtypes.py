"""Losses are computed in float32, or in float64 where the model is."""

from __future__ import annotations

import pytest
import torch

from llmkit.base.dtypes import at_least_float32


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
        (torch.int64, torch.float32),
    ],
)
def test_half_precision_becomes_float32_and_float64_stays(given: torch.dtype, expected: torch.dtype) -> None:
    numbers = torch.tensor([1, 2], dtype=given)
    converted = at_least_float32(numbers)
    assert converted.dtype == expected and converted.tolist() == [1.0, 2.0]
    assert (converted is numbers) == (given == expected)
