"""The head at some tokens: the same logits, from less work, under whatever wraps the model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from llmkit.models.heads import compute_logits_at
from tests.float64 import EXACT, in_float64

IDS = torch.tensor([[3, 4, 5, 6, 7], [8, 9, 10, 11, 12]])
CHOSEN = torch.tensor([[False, True, False, False, True], [False, False, True, False, False]])
SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}


def made(kind: str) -> Any:
    torch.manual_seed(0)
    sizes = {"dim": 32, "n_layers": 1, "n_heads": 4, "vocab_size": 40} if kind == "distilbert" else SIZES
    config = transformers.AutoConfig.for_model(kind, **sizes)
    return in_float64(transformers.AutoModelForMaskedLM.from_config(config)).eval()


class Wrapped(nn.Module):
    """As DDP does it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, **inputs: Tensor) -> Any:
        return self.module(**inputs)


@pytest.mark.parametrize("kind", ["bert", "albert", "roberta", "distilbert"])
@pytest.mark.parametrize("wrap", [lambda model: model, Wrapped])
def test_they_are_those_of_the_whole_forward(kind: str, wrap: Any) -> None:
    model = made(kind)
    with torch.no_grad():
        whole, some = model(IDS).logits, compute_logits_at(wrap(model), {"input_ids": IDS}, CHOSEN)
    assert some.shape == (3, 40)
    assert torch.allclose(some, whole[CHOSEN], **EXACT)


def test_with_adapters_too() -> None:
    import peft

    model = made("bert")
    adapted = peft.get_peft_model(model, peft.LoraConfig(target_modules=["query"])).eval()
    with torch.no_grad():
        whole, some = adapted(IDS).logits, compute_logits_at(adapted, {"input_ids": IDS}, CHOSEN)
    assert torch.allclose(some, whole[CHOSEN], **EXACT)


def test_the_head_sees_the_chosen_tokens_only_and_all_of_them_afterwards() -> None:
    model = made("bert")
    seen: list[tuple[int, ...]] = []
    hook = model.cls.predictions.register_forward_pre_hook(
        lambda _, states: seen.append(tuple(states[0].shape))
    )
    compute_logits_at(model, {"input_ids": IDS}, CHOSEN)
    model(IDS)
    hook.remove()
    assert seen == [(3, 32), (2, 5, 32)]


def test_nothing_chosen_gives_no_logits_and_a_gradient_of_zero() -> None:
    model = made("bert")
    compute_logits_at(model, {"input_ids": IDS}, torch.zeros_like(CHOSEN)).sum().backward()
    grads = [parameter.grad for parameter in model.parameters()]
    assert all(grad is not None and not grad.any() for grad in grads)
