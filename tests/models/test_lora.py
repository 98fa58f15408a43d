"""Adapters: few weights train, merging changes nothing, wrong names are told."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from llmkit.base.errors import ModelError
from llmkit.models import load, lora
from llmkit.recipe.schema import Lora
from llmkit.tasks._shared.texts import named_classes
from tests.float64 import EXACT, in_float64

IDS = torch.tensor([[2, 5, 6, 7, 3]])


def opened(folder: Path, labels: list[str], *, new_head: bool = False, seed: int = 1) -> Any:
    """The checkpoint under a classification head."""
    return load.load_pretrained(
        folder,
        "AutoModelForSequenceClassification",
        named_classes(labels, "single_label_classification"),
        new_head=new_head,
        seed=seed,
        tokenizer=load.load_tokenizer(folder),
    )


@pytest.fixture
def base(tiny_bert: Path) -> Any:
    return in_float64(opened(tiny_bert, ["a", "b"], new_head=False, seed=1)).eval()


def shaken(model: Any) -> Any:
    """As after some training: the adapters' second factor starts at zero otherwise."""
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


def test_only_adapters_and_the_head_train(base: Any) -> None:
    model = lora.add_adapter(base, Lora(rank=4), seed=1)
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all("lora_" in name or "classifier" in name for name in trainable)
    assert any("classifier" in name for name in trainable)
    assert {"query", "key", "value", "dense"} <= {
        name.split(".lora_")[0].rsplit(".", 1)[-1] for name in trainable
    }


def test_untrained_adapters_change_nothing(base: Any) -> None:
    with torch.no_grad():
        before = base(input_ids=IDS).logits
        assert torch.allclose(
            lora.add_adapter(base, Lora(), seed=1).eval()(input_ids=IDS).logits, before, **EXACT
        )


def test_merged_weights_answer_as_the_adapters_did(base: Any) -> None:
    with torch.no_grad():
        before = base(input_ids=IDS).logits
        model = shaken(lora.add_adapter(base, Lora(rank=4, alpha=8), seed=1))
        adapted = model(input_ids=IDS).logits
        merged = lora.merge_adapter(model)
        assert not torch.allclose(adapted, before, atol=1e-3)
        assert torch.allclose(merged(input_ids=IDS).logits, adapted, **EXACT)
    assert not any("lora" in name for name in merged.state_dict())


def test_a_kept_adapter_comes_back(base: Any, tiny_bert: Path, tmp_path: Path) -> None:
    model = shaken(lora.add_adapter(base, Lora(rank=4), seed=1))
    model.save_pretrained(tmp_path)
    again = in_float64(opened(tiny_bert, ["a", "b"], new_head=False, seed=5))
    with torch.no_grad():
        expected = model(input_ids=IDS).logits
        assert torch.allclose(
            lora.load_adapter(again, tmp_path).eval()(input_ids=IDS).logits, expected, **EXACT
        )


def test_named_targets_only(base: Any) -> None:
    model = lora.add_adapter(base, Lora(targets=["query"]), seed=1)
    adapted = {
        name.split(".lora_")[0].rsplit(".", 1)[-1] for name, _ in model.named_parameters() if "lora_" in name
    }
    assert adapted == {"query"}


def test_targets_that_match_nothing_are_told_with_the_names_there_are(base: Any) -> None:
    with pytest.raises(ModelError) as caught:
        lora.add_adapter(base, Lora(targets=["q_proj"]), seed=1)
    assert caught.value.lines()[0].startswith("error[M08] model.lora.targets: q_proj matches no linear layer")
    assert "query" in caught.value.lines()[0]


# new tokens

MARKERS = ("<e1>", "</e1>", "<e2>", "</e2>")


def grown(folder: Path, seed: int = 1) -> tuple[Any, Any, list[int]]:
    """The checkpoint with four new tokens, its tokenizer, and their ids."""
    tokenizer = load.load_tokenizer(folder, special=MARKERS)
    model = load.load_pretrained(
        folder,
        "AutoModelForSequenceClassification",
        named_classes(["a", "b"], "single_label_classification"),
        new_head=False,
        seed=seed,
        tokenizer=tokenizer,
    )
    return in_float64(model).eval(), tokenizer, tokenizer.convert_tokens_to_ids(list(MARKERS))


def trained(model: Any, ids: torch.Tensor) -> Any:
    """Some real updates on one text with the markers."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(5):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(input_ids=ids).logits, torch.tensor([1])).backward()
        optimizer.step()
    return model.eval()


def test_of_the_embeddings_only_the_new_rows_train(tiny_bert: Path) -> None:
    base, tokenizer, new = grown(tiny_bert)
    before = base.get_input_embeddings().weight.detach().clone()
    ids = tokenizer("a <e1>film</e1> of <e2>music</e2>", return_tensors="pt")["input_ids"]
    model = trained(lora.add_adapter(base, Lora(rank=4), seed=1, new_tokens=new), ids)
    with torch.no_grad():
        adapted = model(input_ids=ids).logits
        merged = lora.merge_adapter(model)
        assert torch.allclose(merged(input_ids=ids).logits, adapted, **EXACT)
    after = merged.get_input_embeddings().weight
    changed = (after != before).any(-1).nonzero().flatten().tolist()
    assert changed == new
    assert type(merged.get_input_embeddings()) is torch.nn.Embedding


def test_without_new_tokens_no_embedding_trains(tiny_bert: Path) -> None:
    base, tokenizer, _ = grown(tiny_bert)
    before = base.get_input_embeddings().weight.detach().clone()
    ids = tokenizer("a <e1>film</e1>", return_tensors="pt")["input_ids"]
    merged = lora.merge_adapter(trained(lora.add_adapter(base, Lora(rank=4), seed=1), ids))
    assert torch.equal(merged.get_input_embeddings().weight, before)


def test_the_new_rows_of_a_kept_adapter_come_back(tiny_bert: Path, tmp_path: Path) -> None:
    """Onto a base whose own new rows were drawn from another seed."""
    base, tokenizer, new = grown(tiny_bert)
    ids = tokenizer("a <e1>film</e1> of <e2>music</e2>", return_tensors="pt")["input_ids"]
    model = trained(lora.add_adapter(base, Lora(rank=4), seed=1, new_tokens=new), ids)
    model.save_pretrained(tmp_path)
    other, _, _ = grown(tiny_bert, seed=0)
    again = lora.load_adapter(other, tmp_path).eval()
    with torch.no_grad():
        assert torch.allclose(again(input_ids=ids).logits, model(input_ids=ids).logits, **EXACT)


def learned(model: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits in training, and the gradient of each trained parameter."""
    torch.manual_seed(5)
    model.train().zero_grad()
    logits = model(input_ids=IDS.repeat(3, 1)).logits
    logits.square().sum().backward()
    return logits, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_fused_adapters_say_and_learn_the_same(base: Any, dropout: float) -> None:
    model = shaken(lora.add_adapter(base, Lora(rank=2, dropout=dropout), seed=1))
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout) and not dropout:
            module.p = 0.0
    wanted, slopes = learned(model)
    lora.fuse_adapter(model)
    found, ours = learned(model)
    torch.testing.assert_close(found, wanted, **EXACT)
    assert ours.keys() == slopes.keys() and any("lora_A" in name for name in ours)
    for name, slope in slopes.items():
        torch.testing.assert_close(ours[name], slope, **EXACT, msg=name)


def test_fused_adapters_take_the_short_way(base: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = shaken(lora.add_adapter(base, Lora(rank=2), seed=1))
    lora.fuse_adapter(model)
    monkeypatch.setattr("peft.tuners.lora.Linear.forward", lambda *_, **__: pytest.fail("peft's way"))
    learned(model)


def test_fused_adapters_of_gpt2_whose_layers_are_no_linear_ones() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=20, n_embd=8, n_layer=1, n_head=2, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0
    )
    model = shaken(lora.add_adapter(in_float64(GPT2LMHeadModel(config)), Lora(rank=2), seed=1))
    wanted, _ = learned(model)
    lora.fuse_adapter(model)
    torch.testing.assert_close(learned(model)[0], wanted, **EXACT)


def test_fused_adapters_merge_as_ever(base: Any) -> None:
    model = shaken(lora.add_adapter(base, Lora(rank=2), seed=1)).eval()
    before = model(input_ids=IDS).logits
    lora.fuse_adapter(model)
    merged: Any = lora.merge_adapter(model)
    torch.testing.assert_close(merged.eval()(input_ids=IDS).logits, before, **EXACT)


def test_nothing_is_said_of_names_that_will_change(base: Any) -> None:
    """peft and transformers warn each other's users, who can do nothing about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lora.add_adapter(base, Lora(rank=4), seed=1)


def test_other_warnings_come_back_afterwards(base: Any) -> None:
    lora.add_adapter(base, Lora(rank=4), seed=1)
    with pytest.warns(FutureWarning, match="heard"):
        warnings.warn("heard", FutureWarning, stacklevel=1)
