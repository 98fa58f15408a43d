"""Padding-free outputs and gradients equal those of the padded model, for each supported type and head."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from llmkit.engine.generation.generate import pad_left
from llmkit.models import heads, lora
from llmkit.models.cpu.unpadded import CAUSAL, ENCODERS, Unpadded, is_supported
from llmkit.recipe.schema import Lora
from tests.float64 import EXACT, in_float64

LENGTHS = (5, 9, 9, 3, 12, 1, 9)
HEADS = ("SequenceClassification", "TokenClassification", "QuestionAnswering", "MaskedLM")


def build_model(kind: str, head: str = "SequenceClassification") -> Any:
    """Build a model in float64, so that the comparison is about the computation and not about rounding."""
    torch.manual_seed(3)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    if kind == "distilbert":
        shape = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
    if kind == "gpt2":
        shape = {"n_embd": 32, "n_layer": 2, "n_head": 4, "bos_token_id": 1, "eos_token_id": 2}
    if kind == "llama":
        shape["num_key_value_heads"] = 2
    if kind in ("albert", "electra"):
        shape["embedding_size"] = 16
    config = transformers.AutoConfig.for_model(kind, vocab_size=50, max_position_embeddings=40, **shape)
    model = getattr(transformers, f"AutoModelFor{head}").from_config(config, attn_implementation="sdpa")
    with torch.no_grad():  # random biases and scales, so that attention is far from uniform
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return in_float64(model).eval()


def make_batch(model: Any) -> dict[str, Tensor]:
    torch.manual_seed(4)
    mask_BL = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).long()
    ids_BL = torch.randint(5, 50, mask_BL.shape)
    return {
        "input_ids": ids_BL.masked_fill(mask_BL == 0, model.config.pad_token_id or 0),
        "attention_mask": mask_BL,
    }


def run(model: nn.Module, inputs: dict[str, Tensor]) -> list[Tensor]:
    """Return the outputs, 0 at padding."""
    outputs, mask_BL = model(**inputs), inputs["attention_mask"]
    present = [outputs[name] for name in ("logits", "start_logits", "end_logits") if name in outputs]
    return [
        output.masked_fill((mask_BL == 0).view(*mask_BL.shape, *[1] * (output.ndim - 2)), 0)
        if output.shape[:2] == mask_BL.shape
        else output
        for output in present
    ]


def compute_gradients(model: nn.Module, outputs: list[Tensor]) -> dict[str, Tensor]:
    model.zero_grad()
    sum(output.square().sum() for output in outputs).backward()  # type: ignore[union-attr]
    return {
        name.removeprefix("module."): p.grad for name, p in model.named_parameters() if p.grad is not None
    }


def compare(plain: nn.Module, inputs: dict[str, Tensor]) -> None:
    """Assert that outputs and gradients of the padding-free model equal those of the padded one."""
    expected = run(plain, inputs)
    expected_gradients = compute_gradients(plain, expected)
    unpadded = Unpadded(plain)
    outputs = run(unpadded, inputs)
    for ours, theirs in zip(outputs, expected, strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)
    gradients = compute_gradients(unpadded, outputs)
    assert gradients.keys() == expected_gradients.keys()
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(gradients[name], gradient, **EXACT, msg=name)


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("head", HEADS)
def test_outputs_and_gradients_of_encoders_equal_the_padded_ones(kind: str, head: str) -> None:
    plain = build_model(kind, head)
    compare(plain, make_batch(plain))


@pytest.mark.parametrize("kind", CAUSAL)
@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
def test_the_shared_prefix_of_all_texts_is_computed_once(kind: str, left: bool) -> None:
    model = without_dropout(build_model(kind, "CausalLM"))
    lengths_B = torch.tensor([12, 30, 11, 30])
    mask_BL = (torch.arange(36) < lengths_B[:, None]).long()
    ids_BL = torch.randint(5, 50, (4, 36), generator=torch.Generator().manual_seed(1))
    ids_BL[:, :10] = ids_BL[0, :10].clone()
    inputs = {"input_ids": ids_BL, "attention_mask": mask_BL}
    if left:
        inputs = dict(zip(inputs, pad_left(ids_BL, mask_BL), strict=True))
        inputs["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
    tokens_read = []
    hook = model.get_input_embeddings().register_forward_pre_hook(
        lambda _, args: tokens_read.append(args[0].numel())
    )
    compare(model, inputs)
    hook.remove()
    assert tokens_read == [4 * 36, int(lengths_B.sum()) - 3 * 10]


def test_no_prefix_is_shared_with_dropout() -> None:
    model = build_model("gpt2", "CausalLM")
    assert not Unpadded(model).can_share
    assert Unpadded(without_dropout(model)).can_share


def without_dropout(model: Any) -> Any:
    """Set every dropout of the model to 0, in place."""
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return model


def test_outputs_and_gradients_with_an_adapter_equal_the_padded_ones() -> None:
    model = lora.add_adapter(build_model("bert"), Lora(rank=2), seed=1).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    compare(model, make_batch(model))


def test_layers_compute_no_padding() -> None:
    model = build_model("bert").float()
    seen = []
    model.bert.encoder.layer[0].output.dense.register_forward_hook(
        lambda _, __, out: seen.append((out.shape, out.dtype))
    )
    Unpadded(model)(**make_batch(model))
    assert seen == [((1, sum(LENGTHS), 32), torch.float32)]


def test_an_empty_text_does_not_change_other_texts() -> None:
    model = build_model("bert")
    inputs = make_batch(model)
    expected = model(**inputs).logits
    inputs["attention_mask"][3] = 0
    logits = Unpadded(model)(**inputs).logits
    torch.testing.assert_close(logits[:3], expected[:3], **EXACT)
    assert logits.isfinite().all()


def test_an_error_in_the_forward_restores_the_model() -> None:
    model = build_model("bert")
    inputs = make_batch(model)
    before = model(**inputs).logits
    hook = model.bert.pooler.register_forward_hook(lambda *_: pytest.fail("planted"))
    with pytest.raises(pytest.fail.Exception):
        Unpadded(model)(**inputs)
    hook.remove()
    assert model.config._attn_implementation == "sdpa"
    assert torch.equal(model(**inputs).logits, before)


def test_a_four_dimensional_mask_runs_the_plain_model() -> None:
    model = build_model("bert", "MaskedLM")
    ids_BL = torch.randint(5, 50, (1, 6))
    mask = torch.eye(6, dtype=torch.bool)[None, None]
    inputs = {"input_ids": ids_BL, "attention_mask": mask}
    assert torch.equal(Unpadded(model)(**inputs).logits, model(**inputs).logits)


@pytest.mark.parametrize("kind", CAUSAL)
@pytest.mark.parametrize("keep", [0, 3, torch.tensor([1, 8, 11])])
@pytest.mark.parametrize("left", [True, False])
def test_logits_and_gradients_of_language_models_equal_the_padded_ones(
    kind: str, keep: Any, left: bool
) -> None:
    """At all or some positions; padded on the left, as for generation, or on the right."""
    model = build_model(kind, "CausalLM")
    mask_BL = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).long()
    mask_BL = mask_BL.flip(1) if left else mask_BL
    torch.manual_seed(4)
    positions_BL = (mask_BL.cumsum(1) - 1).clamp(min=0)
    inputs = {"input_ids": torch.randint(5, 50, mask_BL.shape), "position_ids": positions_BL}

    def run_backward(runner: nn.Module) -> tuple[Tensor, dict[str, Tensor]]:
        logits_BSV = runner(**inputs, attention_mask=mask_BL, logits_to_keep=keep, use_cache=False).logits
        places = slice(-keep or None, None) if isinstance(keep, int) else keep
        logits_BSV = logits_BSV * mask_BL[:, places, None]
        return logits_BSV, compute_gradients(runner, [logits_BSV])

    expected, expected_gradients = run_backward(model)
    logits, gradients = run_backward(Unpadded(model))
    torch.testing.assert_close(logits, expected, **EXACT)
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(gradients[name], gradient, **EXACT, msg=name)


@pytest.mark.parametrize("kind", CAUSAL)
def test_the_head_computes_only_selected_tokens(kind: str) -> None:
    model = build_model(kind, "CausalLM")
    inputs = make_batch(model)
    selected_BL = (torch.arange(max(LENGTHS)) % 3 == 1) & inputs["attention_mask"].bool()
    expected = model(**inputs).logits[selected_BL]
    seen = []
    hook = model.lm_head.register_forward_hook(lambda _, __, out: seen.append(out.shape))
    logits = heads.compute_logits_at(Unpadded(model), inputs, selected_BL)
    torch.testing.assert_close(logits, expected, **EXACT)
    hook.remove()
    assert seen == [expected.shape]


def test_only_tested_types_and_heads_are_supported() -> None:
    assert (
        is_supported(build_model("bert"))
        and is_supported(build_model("llama", "CausalLM"))
        and not is_supported(build_model("llama"))
    )
    config = transformers.BertConfig(
        is_decoder=True,
        hidden_size=8,
        num_attention_heads=1,
        num_hidden_layers=1,
        intermediate_size=8,
        vocab_size=9,
    )
    assert not is_supported(transformers.BertLMHeadModel(config))
    assert not is_supported(
        transformers.T5ForConditionalGeneration(transformers.T5Config(d_model=8, d_ff=8, num_layers=1))
    )
