"""Logits computed at selected tokens equal those of the full forward, for plain and wrapped models."""

from __future__ import annotations

from typing import Any

import peft
import pytest
import torch
import transformers
from torch import Tensor, nn

from llmkit.models.heads import compute_logits_at
from tests.float64 import EXACT, in_float64

IDS = torch.tensor([[3, 4, 5, 6, 7], [8, 9, 10, 11, 12]])
SELECTED = torch.tensor([[False, True, False, False, True], [False, False, True, False, False]])
SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}


def build_model(kind: str) -> Any:
    torch.manual_seed(0)
    sizes = {"dim": 32, "n_layers": 1, "n_heads": 4, "vocab_size": 40} if kind == "distilbert" else SIZES
    config = transformers.AutoConfig.for_model(kind, **sizes)
    return in_float64(transformers.AutoModelForMaskedLM.from_config(config)).eval()


class Wrapped(nn.Module):
    """A wrapper like DDP."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, **inputs: Tensor) -> Any:
        return self.module(**inputs)


@pytest.mark.parametrize("kind", ["bert", "albert", "roberta", "distilbert"])
@pytest.mark.parametrize("wrap", [lambda model: model, Wrapped])
def test_logits_at_selected_tokens_equal_those_of_the_full_forward(kind: str, wrap: Any) -> None:
    model = build_model(kind)
    with torch.no_grad():
        full, some = model(IDS).logits, compute_logits_at(wrap(model), {"input_ids": IDS}, SELECTED)
    assert some.shape == (3, 40)
    assert torch.allclose(some, full[SELECTED], **EXACT)


def test_logits_at_selected_tokens_with_an_adapter() -> None:

    model = build_model("bert")
    adapted = peft.get_peft_model(model, peft.LoraConfig(target_modules=["query"])).eval()
    with torch.no_grad():
        full, some = adapted(IDS).logits, compute_logits_at(adapted, {"input_ids": IDS}, SELECTED)
    assert torch.allclose(some, full[SELECTED], **EXACT)


def test_the_head_computes_only_selected_tokens_and_all_of_them_afterwards() -> None:
    model = build_model("bert")
    seen: list[tuple[int, ...]] = []
    hook = model.cls.predictions.register_forward_pre_hook(
        lambda _, states: seen.append(tuple(states[0].shape))
    )
    compute_logits_at(model, {"input_ids": IDS}, SELECTED)
    model(IDS)
    hook.remove()
    assert seen == [(3, 32), (2, 5, 32)]


def test_no_selected_token_gives_no_logits_and_zero_gradients() -> None:
    model = build_model("bert")
    compute_logits_at(model, {"input_ids": IDS}, torch.zeros_like(SELECTED)).sum().backward()
    grads = [parameter.grad for parameter in model.parameters()]
    assert all(grad is not None and not grad.any() for grad in grads)
