"""Int8 layers are close to the float32 layers, do not depend on the batch, and leave the original model unchanged."""

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


def test_integers_up_to_127_are_computed_exactly() -> None:
    """Weights and inputs that are integers with a largest value of 127 are not rounded."""
    torch.manual_seed(1)
    linear = nn.Linear(64, 24)
    linear.weight.copy_(torch.randint(-126, 127, linear.weight.shape))
    x = torch.randint(-126, 127, (2 * ROWS + 7, 64)).float()
    linear.weight[:, 0] = x[:, 0] = 127
    assert torch.allclose(Int8Linear(linear)(x), linear(x), rtol=1e-6)


def test_products_are_exact_where_the_integer_kernel_saturates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Like processors without VNNI, the stand-in makes A positive and adds pairs of products in 16 bits."""

    def multiply_saturating(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        products = (a.int() + 128).unsqueeze(2) * b.int()
        pairs = products.unflatten(1, (-1, 2)).sum(2).clamp(-(2**15), 2**15 - 1)
        return pairs.sum(1) - 128 * b.int().sum(0)

    monkeypatch.setattr(torch, "_int_mm", multiply_saturating)
    monkeypatch.setattr(int8, "_are_integer_kernels_exact", int8._are_integer_kernels_exact.__wrapped__)
    assert not int8._are_integer_kernels_exact()
    test_integers_up_to_127_are_computed_exactly()


def test_outputs_are_within_2_percent_of_float32() -> None:
    torch.manual_seed(1)
    linear, x = nn.Linear(96, 48, bias=False), torch.randn(3, 50, 96)
    expected, output = linear(x), Int8Linear(linear)(x)
    assert output.shape == expected.shape
    assert 1e-4 < (output - expected).norm() / expected.norm() < 0.02


def test_a_token_of_zeros_gives_the_bias() -> None:
    linear = nn.Linear(8, 4)
    assert torch.equal(Int8Linear(linear)(torch.zeros(1, 8))[0], linear.bias)


def test_the_output_of_a_token_does_not_depend_on_other_tokens() -> None:
    torch.manual_seed(1)
    layer, x = Int8Linear(nn.Linear(32, 16)), torch.randn(ROWS + 9, 32)
    x[3] *= 1000  # would set the scale if it were one for the whole batch
    together = layer(x)
    for rows in (slice(4, 9), slice(ROWS - 2, None)):
        assert torch.equal(together[rows], layer(x[rows]))


def test_the_model_is_unchanged_and_shares_all_other_weights(tiny_bert: Path) -> None:
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


def test_heads_of_generating_models_stay_in_float32(tiny_gpt: Path, tiny_t5: Path) -> None:
    start = torch.zeros(2, 1, dtype=torch.long)
    for auto, folder, inputs in (
        (AutoModelForCausalLM, tiny_gpt, {}),
        (AutoModelForSeq2SeqLM, tiny_t5, {"decoder_input_ids": start}),
    ):
        model = auto.from_pretrained(folder).eval()
        twin = quantize(model)
        assert type(twin.get_output_embeddings()) is nn.Linear
        assert any(type(module) is Int8Linear for module in twin.modules())
        expected, logits = (each(IDS, **inputs).logits for each in (model, twin))
        assert torch.allclose(logits, expected, atol=0.1 * expected.std().item())


def test_a_model_without_linear_layers_is_an_error() -> None:
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=8, n_layer=1, n_head=2))
    with pytest.raises(ModelError, match="M13"):
        quantize(gpt2)
