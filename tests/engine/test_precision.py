"""train.precision on every kind of device, with stand-ins for GPUs."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from llmkit.base.errors import RecipeError
from llmkit.engine.precision import choose_precision, get_dtype

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("amx", [False, True])
def test_auto_on_a_cpu_is_fp32_with_and_without_matrix_units(monkeypatch: Any, amx: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert choose_precision("auto", CPU) == "fp32"


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_auto_on_cuda_depends_on_the_compute_capability(
    monkeypatch: Any, capability: Any, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", CUDA) == expected


def test_an_explicit_format_is_used() -> None:
    assert choose_precision("bf16", CPU) == "bf16"
    assert choose_precision("fp32", CUDA) == "fp32"
    assert choose_precision("fp16", CUDA) == "fp16"
    assert get_dtype("bf16") is torch.bfloat16


def test_fp16_without_cuda_is_an_error() -> None:
    with pytest.raises(RecipeError, match=r"error\[C10\] train.precision: fp16 needs a CUDA device"):
        choose_precision("fp16", CPU)
