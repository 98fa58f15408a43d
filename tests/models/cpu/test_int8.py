"""Layers in 8 bits: near the layer they are made from, the same alone or in a batch, and only in the copy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
)

from llmkit.base.errors import ModelError
from llmkit.models.cpu import int8
from llmkit.models.cpu.int8 import ROWS, Int8Linear, quantize

IDS = torch.tensor([[2, 5, 6, 7, 3], [2, 9, 8, 3, 3]])


@pytest.fixture(autouse=True)
def no_grad() -> Iterator[None]:
    torch.set_grad_enabled(False)
    yield
    torch.set_grad_enabled(True)


def test_whole_numbers_are_computed_exactly() -> None:
    """Where both sides are whole numbers up to 127 nothing is rounded."""
    torch.manual_seed(1)
    linear = nn.Linear(64, 24)
    linear.weight.copy_(torch.randint(-126, 127, linear.weight.shape))
    x = torch.randint(-126, 127, (2 * ROWS + 7, 64)).float()
    linear.weight[:, 0] = x[:, 0] = 127
    assert torch.allclose(Int8Linear(linear)(x), linear(x), rtol=1e-6)


def test_products_are_exact_where_the_integer_kernel_saturates(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on processors without VNNI: A is made positive, and pairs of products are added in 16 bits."""

    def saturating(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        products = (a.int() + 128).unsqueeze(2) * b.int()
        pairs = products.unflatten(1, (-1, 2)).sum(2).clamp(-(2**15), 2**15 - 1)
        return pairs.sum(1) - 128 * b.int().sum(0)

    monkeypatch.setattr(torch, "_int_mm", saturating)
    monkeypatch.setattr(int8, "_integer_kernels_are_exact", int8._integer_kernels_are_exact.__wrapped__)
    assert not int8._integer_kernels_are_exact()
    test_whole_numbers_are_computed_exactly()


def test_others_are_near() -> None:
    torch.manual_seed(1)
    linear, x = nn.Linear(96, 48, bias=False), torch.randn(3, 50, 96)
    expected, found = linear(x), Int8Linear(linear)(x)
    assert found.shape == expected.shape
    assert 1e-4 < (found - expected).norm() / expected.norm() < 0.02


def test_a_token_of_zeros_gives_the_bias() -> None:
    linear = nn.Linear(8, 4)
    assert torch.equal(Int8Linear(linear)(torch.zeros(1, 8))[0], linear.bias)


def test_a_token_does_not_hear_of_those_beside_it() -> None:
    torch.manual_seed(1)
    layer, x = Int8Linear(nn.Linear(32, 16)), torch.randn(ROWS + 9, 32)
    x[3] *= 1000  # the scale of a batch, if there were one
    together = layer(x)
    for rows in (slice(4, 9), slice(ROWS - 2, None)):
        assert torch.equal(together[rows], layer(x[rows]))


def test_the_model_stays_as_it_is_and_shares_the_rest(tiny_bert: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tiny_bert).eval()
    before = model(IDS).logits
    twin = quantize(model)
    assert torch.equal(model(IDS).logits, before)
    assert not torch.equal(twin(IDS).logits, before)
    assert torch.allclose(twin(IDS).logits, before, atol=0.05)
    assert twin.get_input_embeddings().weight is model.get_input_embeddings().weight
    assert type(twin.classifier) is nn.Linear
    layers = [module for module in twin.bert.modules() if isinstance(module, nn.Linear | Int8Linear)]
    assert layers and all(type(layer) is Int8Linear for layer in layers)


def test_models_that_write_keep_their_heads(tiny_gpt: Path, tiny_t5: Path) -> None:
    start = torch.zeros(2, 1, dtype=torch.long)
    for auto, folder, inputs in (
        (AutoModelForCausalLM, tiny_gpt, {}),
        (AutoModelForSeq2SeqLM, tiny_t5, {"decoder_input_ids": start}),
    ):
        model = auto.from_pretrained(folder).eval()
        twin = quantize(model)
        assert type(twin.get_output_embeddings()) is nn.Linear
        assert any(type(module) is Int8Linear for module in twin.modules())
        expected, found = (one(IDS, **inputs).logits for one in (model, twin))
        assert torch.allclose(found, expected, atol=0.1 * expected.std().item())


def test_layers_of_another_kind_are_told() -> None:
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=8, n_layer=1, n_head=2))
    with pytest.raises(ModelError, match="M13"):
        quantize(gpt2)
