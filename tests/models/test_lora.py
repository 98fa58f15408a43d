"""LoRA adapters: few weights train, merging keeps the outputs, unknown target names are an error."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from llmkit.base.errors import ModelError
from llmkit.models import load, lora
from llmkit.recipe.schema import Lora
from llmkit.tasks._shared.classes import class_config
from tests.float64 import EXACT, in_float64

IDS = torch.tensor([[2, 5, 6, 7, 3]])


def load_classifier(folder: Path, labels: list[str], *, new_head: bool = False, seed: int = 1) -> Any:
    """Load the checkpoint under a classification head."""
    return load.load_pretrained(
        folder,
        "AutoModelForSequenceClassification",
        class_config(labels, "single_label_classification"),
        new_head=new_head,
        seed=seed,
        tokenizer=load.load_tokenizer(folder),
    )


@pytest.fixture
def base(tiny_bert: Path) -> Any:
    return in_float64(load_classifier(tiny_bert, ["a", "b"], new_head=False, seed=1)).eval()


def perturb(model: Any) -> Any:
    """Change the trainable weights, as training would: the second factor of an adapter starts at zero."""
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


def test_only_adapters_and_the_head_are_trainable(base: Any) -> None:
    model = lora.add_adapter(base, Lora(rank=4), seed=1)
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all("lora_" in name or "classifier" in name for name in trainable)
    assert any("classifier" in name for name in trainable)
    assert {"query", "key", "value", "dense"} <= {
        name.split(".lora_")[0].rsplit(".", 1)[-1] for name in trainable
    }


def test_untrained_adapters_do_not_change_the_logits(base: Any) -> None:
    with torch.no_grad():
        before = base(input_ids=IDS).logits
        assert torch.allclose(
            lora.add_adapter(base, Lora(), seed=1).eval()(input_ids=IDS).logits, before, **EXACT
        )


def test_merged_weights_give_the_logits_of_the_adapter(base: Any) -> None:
    with torch.no_grad():
        before = base(input_ids=IDS).logits
        model = perturb(lora.add_adapter(base, Lora(rank=4, alpha=8), seed=1))
        adapted = model(input_ids=IDS).logits
        merged = lora.merge_adapter(model)
        assert not torch.allclose(adapted, before, atol=1e-3)
        assert torch.allclose(merged(input_ids=IDS).logits, adapted, **EXACT)
    assert not any("lora" in name for name in merged.state_dict())


def test_a_saved_adapter_can_be_loaded(base: Any, tiny_bert: Path, tmp_path: Path) -> None:
    model = perturb(lora.add_adapter(base, Lora(rank=4), seed=1))
    model.save_pretrained(tmp_path)
    reloaded = in_float64(load_classifier(tiny_bert, ["a", "b"], new_head=False, seed=5))
    with torch.no_grad():
        expected = model(input_ids=IDS).logits
        assert torch.allclose(
            lora.load_adapter(reloaded, tmp_path).eval()(input_ids=IDS).logits, expected, **EXACT
        )


def test_only_named_targets_get_adapters(base: Any) -> None:
    model = lora.add_adapter(base, Lora(targets=["query"]), seed=1)
    adapted = {
        name.split(".lora_")[0].rsplit(".", 1)[-1] for name, _ in model.named_parameters() if "lora_" in name
    }
    assert adapted == {"query"}


def test_unknown_targets_are_an_error_that_lists_the_linear_layers(base: Any) -> None:
    with pytest.raises(ModelError) as caught:
        lora.add_adapter(base, Lora(targets=["q_proj"]), seed=1)
    assert caught.value.lines()[0].startswith("error[M08] model.lora.targets: q_proj matches no linear layer")
    assert "query" in caught.value.lines()[0]


# New tokens.

MARKERS = ("<e1>", "</e1>", "<e2>", "</e2>")


def load_with_new_tokens(folder: Path, seed: int = 1) -> tuple[Any, Any, list[int]]:
    """Load the checkpoint with four new tokens; return model, tokenizer and the new ids."""
    tokenizer = load.load_tokenizer(folder, special=MARKERS)
    model = load.load_pretrained(
        folder,
        "AutoModelForSequenceClassification",
        class_config(["a", "b"], "single_label_classification"),
        new_head=False,
        seed=seed,
        tokenizer=tokenizer,
    )
    return in_float64(model).eval(), tokenizer, tokenizer.convert_tokens_to_ids(list(MARKERS))


def train_on(model: Any, ids: torch.Tensor) -> Any:
    """Train for five steps on one text."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(5):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(input_ids=ids).logits, torch.tensor([1])).backward()
        optimizer.step()
    return model.eval()


def test_only_the_embeddings_of_new_tokens_are_trained(tiny_bert: Path) -> None:
    base, tokenizer, new = load_with_new_tokens(tiny_bert)
    before = base.get_input_embeddings().weight.detach().clone()
    ids = tokenizer("a <e1>film</e1> of <e2>music</e2>", return_tensors="pt")["input_ids"]
    model = train_on(lora.add_adapter(base, Lora(rank=4), seed=1, new_tokens=new), ids)
    with torch.no_grad():
        adapted = model(input_ids=ids).logits
        merged = lora.merge_adapter(model)
        assert torch.allclose(merged(input_ids=ids).logits, adapted, **EXACT)
    after = merged.get_input_embeddings().weight
    changed = (after != before).any(-1).nonzero().flatten().tolist()
    assert changed == new
    assert type(merged.get_input_embeddings()) is torch.nn.Embedding


def test_without_new_tokens_no_embedding_is_trained(tiny_bert: Path) -> None:
    base, tokenizer, _ = load_with_new_tokens(tiny_bert)
    before = base.get_input_embeddings().weight.detach().clone()
    ids = tokenizer("a <e1>film</e1>", return_tensors="pt")["input_ids"]
    merged = lora.merge_adapter(train_on(lora.add_adapter(base, Lora(rank=4), seed=1), ids))
    assert torch.equal(merged.get_input_embeddings().weight, before)


def test_a_saved_adapter_restores_the_embeddings_of_new_tokens(tiny_bert: Path, tmp_path: Path) -> None:
    """The base model it is loaded onto has other embeddings of these tokens."""
    base, tokenizer, new = load_with_new_tokens(tiny_bert)
    ids = tokenizer("a <e1>film</e1> of <e2>music</e2>", return_tensors="pt")["input_ids"]
    model = train_on(lora.add_adapter(base, Lora(rank=4), seed=1, new_tokens=new), ids)
    model.save_pretrained(tmp_path)
    other, _, _ = load_with_new_tokens(tiny_bert, seed=0)
    reloaded = lora.load_adapter(other, tmp_path).eval()
    with torch.no_grad():
        assert torch.allclose(reloaded(input_ids=ids).logits, model(input_ids=ids).logits, **EXACT)


def run_backward(model: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return the logits in training mode, and the gradient of each trainable parameter."""
    torch.manual_seed(5)
    model.train().zero_grad()
    logits = model(input_ids=IDS.repeat(3, 1)).logits
    logits.square().sum().backward()
    return logits, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_fused_adapters_give_the_same_logits_and_gradients(base: Any, dropout: float) -> None:
    model = perturb(lora.add_adapter(base, Lora(rank=2, dropout=dropout), seed=1))
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout) and not dropout:
            module.p = 0.0
    expected, expected_gradients = run_backward(model)
    lora.fuse_adapter(model)
    logits, gradients = run_backward(model)
    torch.testing.assert_close(logits, expected, **EXACT)
    assert gradients.keys() == expected_gradients.keys() and any("lora_A" in name for name in gradients)
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(gradients[name], gradient, **EXACT, msg=name)


def test_fused_adapters_do_not_run_the_forward_of_peft(base: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = perturb(lora.add_adapter(base, Lora(rank=2), seed=1))
    lora.fuse_adapter(model)
    monkeypatch.setattr(
        "peft.tuners.lora.Linear.forward", lambda *_, **__: pytest.fail("ran the forward of peft")
    )
    run_backward(model)


def test_fusing_leaves_gpt2_unchanged_whose_layers_are_not_linear() -> None:

    config = GPT2Config(
        vocab_size=20, n_embd=8, n_layer=1, n_head=2, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0
    )
    model = perturb(lora.add_adapter(in_float64(GPT2LMHeadModel(config)), Lora(rank=2), seed=1))
    expected, _ = run_backward(model)
    lora.fuse_adapter(model)
    torch.testing.assert_close(run_backward(model)[0], expected, **EXACT)


def test_fused_adapters_can_be_merged(base: Any) -> None:
    model = perturb(lora.add_adapter(base, Lora(rank=2), seed=1)).eval()
    before = model(input_ids=IDS).logits
    lora.fuse_adapter(model)
    merged: Any = lora.merge_adapter(model)
    torch.testing.assert_close(merged.eval()(input_ids=IDS).logits, before, **EXACT)


def test_adding_an_adapter_gives_no_deprecation_warnings(base: Any) -> None:
    """peft and transformers warn about each other, and a user can do nothing about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lora.add_adapter(base, Lora(rank=4), seed=1)


def test_other_warnings_are_shown_afterwards(base: Any) -> None:
    lora.add_adapter(base, Lora(rank=4), seed=1)
    with pytest.warns(FutureWarning, match="shown"):
        warnings.warn("shown", FutureWarning, stacklevel=1)
