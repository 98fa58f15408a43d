"""Texts one behind another: what the padded model says and learns, for each known type and head."""

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


def made(kind: str, head: str = "SequenceClassification") -> Any:
    """In float64: what is compared is how something is computed, not how it is rounded."""
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
    with torch.no_grad():  # so that attention is far from uniform
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return in_float64(model).eval()


def batch(model: Any) -> dict[str, Tensor]:
    torch.manual_seed(4)
    mask_BL = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).long()
    ids_BL = torch.randint(5, 50, mask_BL.shape)
    return {
        "input_ids": ids_BL.masked_fill(mask_BL == 0, model.config.pad_token_id or 0),
        "attention_mask": mask_BL,
    }


def said(model: nn.Module, inputs: dict[str, Tensor]) -> list[Tensor]:
    """The outputs, 0 at padded places."""
    outputs, mask_BL = model(**inputs), inputs["attention_mask"]
    found = [outputs[name] for name in ("logits", "start_logits", "end_logits") if name in outputs]
    return [
        output.masked_fill((mask_BL == 0).view(*mask_BL.shape, *[1] * (output.ndim - 2)), 0)
        if output.shape[:2] == mask_BL.shape
        else output
        for output in found
    ]


def gradients(model: nn.Module, outputs: list[Tensor]) -> dict[str, Tensor]:
    model.zero_grad()
    sum(output.square().sum() for output in outputs).backward()  # type: ignore[union-attr]
    return {
        name.removeprefix("module."): p.grad for name, p in model.named_parameters() if p.grad is not None
    }


def compare(plain: nn.Module, inputs: dict[str, Tensor]) -> None:
    wanted = said(plain, inputs)
    slopes = gradients(plain, wanted)
    packed = Unpadded(plain)
    found = said(packed, inputs)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)
    ours_of = gradients(packed, found)
    assert ours_of.keys() == slopes.keys()
    for name, slope in slopes.items():
        torch.testing.assert_close(ours_of[name], slope, **EXACT, msg=name)


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("head", HEADS)
def test_says_and_learns_what_the_padded_model_does(kind: str, head: str) -> None:
    plain = made(kind, head)
    compare(plain, batch(plain))


@pytest.mark.parametrize("kind", CAUSAL)
@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
def test_what_all_texts_begin_with_is_computed_once(kind: str, left: bool) -> None:
    model = without_dropout(made(kind, "CausalLM"))
    lengths_B = torch.tensor([12, 30, 11, 30])
    mask_BL = (torch.arange(36) < lengths_B[:, None]).long()
    ids_BL = torch.randint(5, 50, (4, 36), generator=torch.Generator().manual_seed(1))
    ids_BL[:, :10] = ids_BL[0, :10].clone()
    inputs = {"input_ids": ids_BL, "attention_mask": mask_BL}
    if left:
        inputs = dict(zip(inputs, pad_left(ids_BL, mask_BL), strict=True))
        inputs["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
    read = []
    hook = model.get_input_embeddings().register_forward_pre_hook(
        lambda _, given: read.append(given[0].numel())
    )
    compare(model, inputs)
    hook.remove()
    assert read == [4 * 36, int(lengths_B.sum()) - 3 * 10]


def test_texts_with_dropout_share_nothing() -> None:
    model = made("gpt2", "CausalLM")
    assert Unpadded(model).draws
    assert not Unpadded(without_dropout(model)).draws


def without_dropout(model: Any) -> Any:
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return model


def test_with_adapters() -> None:
    model = lora.add_adapter(made("bert"), Lora(rank=2), seed=1).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    compare(model, batch(model))


def test_layers_see_no_padding() -> None:
    model = made("bert").float()
    seen = []
    model.bert.encoder.layer[0].output.dense.register_forward_hook(
        lambda _, __, out: seen.append((out.shape, out.dtype))
    )
    Unpadded(model)(**batch(model))
    assert seen == [((1, sum(LENGTHS), 32), torch.float32)]


def test_a_row_without_a_token_changes_no_other() -> None:
    model = made("bert")
    inputs = batch(model)
    wanted = model(**inputs).logits
    inputs["attention_mask"][3] = 0
    found = Unpadded(model)(**inputs).logits
    torch.testing.assert_close(found[:3], wanted[:3], **EXACT)
    assert found.isfinite().all()


def test_the_model_is_as_before_even_after_a_fault() -> None:
    model = made("bert")
    inputs = batch(model)
    before = model(**inputs).logits
    fault = model.bert.pooler.register_forward_hook(lambda *_: pytest.fail("planted"))
    with pytest.raises(pytest.fail.Exception):
        Unpadded(model)(**inputs)
    fault.remove()
    assert model.config._attn_implementation == "sdpa"
    assert torch.equal(model(**inputs).logits, before)


def test_a_mask_of_ones_own_goes_to_the_plain_model() -> None:
    model = made("bert", "MaskedLM")
    ids_BL = torch.randint(5, 50, (1, 6))
    mask = torch.eye(6, dtype=torch.bool)[None, None]
    inputs = {"input_ids": ids_BL, "attention_mask": mask}
    assert torch.equal(Unpadded(model)(**inputs).logits, model(**inputs).logits)


@pytest.mark.parametrize("kind", CAUSAL)
@pytest.mark.parametrize("chosen", [0, 3, torch.tensor([1, 8, 11])])
@pytest.mark.parametrize("left", [True, False])
def test_language_models(kind: str, chosen: Any, left: bool) -> None:
    """At the places asked for; padded on the left, as for answers, or on the right."""
    model = made(kind, "CausalLM")
    mask_BL = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).long()
    mask_BL = mask_BL.flip(1) if left else mask_BL
    torch.manual_seed(4)
    positions_BL = (mask_BL.cumsum(1) - 1).clamp(min=0)
    inputs = {"input_ids": torch.randint(5, 50, mask_BL.shape), "position_ids": positions_BL}

    def learned(asked: nn.Module) -> tuple[Tensor, dict[str, Tensor]]:
        logits_BSV = asked(**inputs, attention_mask=mask_BL, logits_to_keep=chosen, use_cache=False).logits
        places = slice(-chosen or None, None) if isinstance(chosen, int) else chosen
        logits_BSV = logits_BSV * mask_BL[:, places, None]
        return logits_BSV, gradients(asked, [logits_BSV])

    wanted, slopes = learned(model)
    found, ours = learned(Unpadded(model))
    torch.testing.assert_close(found, wanted, **EXACT)
    for name, slope in slopes.items():
        torch.testing.assert_close(ours[name], slope, **EXACT, msg=name)


@pytest.mark.parametrize("kind", CAUSAL)
def test_a_head_asked_for_some_tokens_only(kind: str) -> None:
    model = made(kind, "CausalLM")
    inputs = batch(model)
    chosen_BL = (torch.arange(max(LENGTHS)) % 3 == 1) & inputs["attention_mask"].bool()
    wanted = model(**inputs).logits[chosen_BL]
    seen = []
    hook = model.lm_head.register_forward_hook(lambda _, __, out: seen.append(out.shape))
    found = heads.compute_logits_at(Unpadded(model), inputs, chosen_BL)
    torch.testing.assert_close(found, wanted, **EXACT)
    hook.remove()
    assert seen == [wanted.shape]


def test_only_known_types_and_heads() -> None:
    assert (
        is_supported(made("bert"))
        and is_supported(made("llama", "CausalLM"))
        and not is_supported(made("llama"))
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
