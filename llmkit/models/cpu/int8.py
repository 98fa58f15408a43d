"""Int8 linear layers for prediction on a CPU: faster, at a small cost in accuracy.

    quantize(model)  # a copy that shares everything but the weights of its linear layers

The speedup depends on the processor, which needs instructions for int8 products (VNNI, AMX). Without them torch's
integer kernels add pairs of products in 16 bits, which silently saturate. The same sums are then computed in float32,
which is no faster than the float32 layer but gives the same predictions on every processor.

y = s_n s_o (x8 W8) + b, with one scale s_o per row of W, set once, and one scale s_n per token, computed at run time.
A prediction therefore does not depend on the other examples of its batch. Heads stay in float32: they are small, and a
language model shares its head with its embeddings.

Source: the vector-wise quantization of LLM.int8, without its outlier handling (Dettmers et al. 2022).
Shapes: N tokens, I input features, O output features.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from llmkit.base.errors import ModelError

__all__ = ["Int8Linear", "quantize"]

LARGEST = 127
ROWS = 512  # tokens computed at once, whose sums stay in the cache


class Int8Linear(nn.Module):
    """A linear layer with int8 weights and int8 inputs."""

    weight: Tensor  # (O, I), int8; T5 reads its type
    scale_O: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight_OI, scale_O1 = _quantize_rows(linear.weight.detach())
        self.register_buffer("weight", weight_OI)
        self.register_buffer("scale_O", scale_O1.squeeze(1))
        self.bias = linear.bias
        self.in_features, self.out_features = linear.in_features, linear.out_features

    def forward(self, x: Tensor) -> Tensor:
        flat_NI = x.reshape(-1, self.in_features).float()
        out_NO = flat_NI.new_empty(len(flat_NI), self.out_features)
        for first in range(0, len(flat_NI), ROWS):
            int8_NI, scale_N1 = _quantize_rows(flat_NI[first : first + ROWS])
            if _are_integer_kernels_exact():
                product_NO = torch._int_mm(int8_NI, self.weight.T)
            else:
                product_NO = int8_NI.float() @ self.weight.float().T  # sums up to 2^24 are exact
            sums_NO = out_NO[first : first + ROWS].copy_(product_NO)
            sums_NO.mul_(scale_N1).mul_(self.scale_O)
            if self.bias is not None:
                sums_NO.add_(self.bias)
        return out_NO.view(*x.shape[:-1], self.out_features)


@cache
def _are_integer_kernels_exact() -> bool:
    """Return whether torch's integer product of the largest numbers is correct on this processor."""
    largest_NI = torch.full((32, 64), LARGEST, dtype=torch.int8)
    return bool((torch._int_mm(largest_NI, largest_NI.T) == LARGEST**2 * largest_NI.shape[1]).all())


def _quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return each row as integers from -127 to 127, and the scale of each row."""
    scale = x.abs().amax(1, keepdim=True).clamp_(min=torch.finfo(torch.float32).tiny * LARGEST).div_(LARGEST)
    return (x / scale).round_().to(torch.int8), scale


def quantize(model: PreTrainedModel) -> PreTrainedModel:
    """Return a copy of a model, or of a model with an adapter, whose body has int8 linear layers.

    Raises:
        ModelError: M13, the body has no linear layers (like GPT-2, whose layers are of another class).
    """
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    plain: Any = model
    if hasattr(model, "get_base_model"):  # peft
        plain = plain.get_base_model()
    linear = [
        module for module in plain.base_model.modules() if type(module) is nn.Linear and module is not head
    ]
    if not linear:
        message = f"has no linear layers to quantize to int8 ({type(model).__name__})"
        raise ModelError("M13", "--int8", message, "run the command without --int8")
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    twin = copy.deepcopy(model, shared)  # the memo makes the copy use the model's own tensors
    names = {module: name for name, module in model.named_modules()}
    for module in linear:
        twin.set_submodule(names[module], Int8Linear(module))
    return twin
