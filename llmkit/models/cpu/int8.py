"""Linear layers in whole numbers of 8 bits, for predictions on a CPU: less time, and answers that are a little off.

    rounded(model)  # a copy that shares all but the weights of its linear layers

How much less is up to the processor, which needs instructions for such products (VNNI, AMX). Without them the integer
kernels of torch add pairs of products in 16 bits and silently cut what does not fit; then the same sums are computed in
float32, which takes no less time than the layer itself but gives the same predictions on every processor.

y = s_n s_o (x8 W8) + b, with a scale s_o for each row of W, set once, and one s_n for each token, set as it comes, so
that a text's answer does not depend on what stands beside it in a batch. The heads stay in float32: they are small, and
a language model shares its own with its embeddings.

Source: LLM.int8's vector-wise quantization without its outliers (Dettmers et al. 2022).
Shapes: N tokens, I and O features in and out.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from llmkit.base.errors import ModelError

__all__ = ["Int8Linear", "quantize"]

LARGEST = 127
ROWS = 512  # tokens at once: their sums stay in the cache


class Int8Linear(nn.Module):
    """As the nn.Linear that it is made from, but for the rounding."""

    weight: Tensor  # (O, I), int8; T5 asks for its type
    scale_O: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight_OI, scale_O1 = _rounded(linear.weight.detach())
        self.register_buffer("weight", weight_OI)
        self.register_buffer("scale_O", scale_O1.squeeze(1))
        self.bias = linear.bias
        self.in_features, self.out_features = linear.in_features, linear.out_features

    def forward(self, x: Tensor) -> Tensor:
        flat_NI = x.reshape(-1, self.in_features).float()
        out_NO = flat_NI.new_empty(len(flat_NI), self.out_features)
        for first in range(0, len(flat_NI), ROWS):
            whole_NI, scale_N1 = _rounded(flat_NI[first : first + ROWS])
            sums_NO = out_NO[first : first + ROWS].copy_(_product(whole_NI, self.weight))
            sums_NO.mul_(scale_N1).mul_(self.scale_O)
            if self.bias is not None:
                sums_NO.add_(self.bias)
        return out_NO.view(*x.shape[:-1], self.out_features)


def _product(a_NI: Tensor, b_OI: Tensor) -> Tensor:
    """Multiply A and the transpose of B, both int8. Sums up to 2^24 are exact."""
    return torch._int_mm(a_NI, b_OI.T) if _integer_kernels_are_exact() else a_NI.float() @ b_OI.float().T


@cache
def _integer_kernels_are_exact() -> bool:
    """Whether the integer product of torch is right on this processor for the largest numbers there are."""
    most_NI = torch.full((32, 64), LARGEST, dtype=torch.int8)
    return bool((torch._int_mm(most_NI, most_NI.T) == LARGEST**2 * most_NI.shape[1]).all())


def _rounded(x: Tensor) -> tuple[Tensor, Tensor]:
    """(whole numbers from -127 to 127, what to multiply each row of them with)."""
    scale = x.abs().amax(1, keepdim=True).clamp_(min=torch.finfo(torch.float32).tiny * LARGEST).div_(LARGEST)
    return (x / scale).round_().to(torch.int8), scale


def quantize(model: Any) -> Any:
    """The model with its body's linear layers in 8 bits. Raises ModelError M13 where there are none, as in GPT-2."""
    head = model.get_output_embeddings()
    linear = [module for module in _body(model).modules() if type(module) is nn.Linear and module is not head]
    if not linear:
        message = f"has no linear layers that could be computed in 8 bits ({type(model).__name__})"
        raise ModelError("M13", "--int8", message, "leave it out")
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    twin = copy.deepcopy(model, shared)  # its weights are the model's own
    names = {module: name for name, module in model.named_modules()}
    for module in linear:
        twin.set_submodule(names[module], Int8Linear(module))
    return twin


def _body(model: Any) -> Any:
    """All but the head; of a model with adapters that of the model inside."""
    inside = model.get_base_model() if hasattr(model, "get_base_model") else model
    return inside.base_model
