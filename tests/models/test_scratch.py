"""New models have the sizes of the recipe and the weights of the seed, and are saved and loaded like checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from llmkit.base.errors import RecipeError
from llmkit.models import load, scratch
from llmkit.models.save import hash_weights
from llmkit.models.tokenizer_training import train
from llmkit.recipe.schema import Scratch

CAUSAL, PAIRED = "AutoModelForCausalLM", "AutoModelForSeq2SeqLM"
HEADS = {
    "bert": "AutoModelForMaskedLM",
    "gpt2": CAUSAL,
    "llama": CAUSAL,
    "lstm": CAUSAL,
    "t5": PAIRED,
    "bart": PAIRED,
}
LENGTH = 16  # tokens
V, D = 300, 32


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return train(["the old house by the river, the old mill"] * 9, "bpe", V)


def config_of(shape: str, tokenizer: PreTrainedTokenizerBase, **sizes: Any) -> dict[str, Any]:
    settings = Scratch.model_validate({"shape": shape, "layers": 2, "hidden": D, **sizes})
    return scratch.build_config(settings, tokenizer, LENGTH)


@pytest.mark.parametrize("shape", HEADS)
def test_weights_depend_only_on_the_seed(shape: str, tokenizer: PreTrainedTokenizerBase) -> None:
    digests = []
    for seed in (1, 1, 2):
        torch.rand(seed)
        digests.append(
            hash_weights(scratch.build_model(config_of(shape, tokenizer), HEADS[shape], {}, seed=seed))
        )
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("shape", HEADS)
def test_the_parameter_count_equals_that_of_the_model(shape: str, tokenizer: PreTrainedTokenizerBase) -> None:
    model = scratch.build_model(config_of(shape, tokenizer), HEADS[shape], {}, seed=1)
    counted = scratch.count_parameters(config_of(shape, tokenizer), HEADS[shape], {})
    assert counted == sum(parameter.numel() for parameter in model.parameters())
    deeper = scratch.count_parameters(config_of(shape, tokenizer, layers=3), HEADS[shape], {})
    wider = scratch.count_parameters(config_of(shape, tokenizer, hidden=2 * D), HEADS[shape], {})
    assert counted < deeper < wider


def test_parameter_counts_equal_the_formulas(tokenizer: PreTrainedTokenizerBase) -> None:
    v = len(tokenizer)
    feed = 88  # 8/3 of 32, rounded up to a multiple of 8
    llama = v * D + 2 * (4 * D * D + 3 * D * feed + 2 * D) + D
    assert scratch.count_parameters(config_of("llama", tokenizer), CAUSAL, {}) == llama
    gpt2 = (v + LENGTH) * D + 2 * (4 * D * D + 4 * D + 8 * D * D + 5 * D + 4 * D) + 2 * D
    assert scratch.count_parameters(config_of("gpt2", tokenizer), CAUSAL, {}) == gpt2
    assert scratch.count_parameters(config_of("lstm", tokenizer), CAUSAL, {}) == v * D + 2 * (
        8 * D * D + 8 * D
    )


@pytest.mark.parametrize("shape", HEADS)
def test_a_saved_model_is_loaded_as_a_checkpoint(
    shape: str, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    model = scratch.build_model(config_of(shape, tokenizer), HEADS[shape], {}, seed=1)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert load.has_head(load.check_folder(tmp_path), HEADS[shape])
    loaded = load.load_pretrained(
        tmp_path, HEADS[shape], {}, new_head=False, seed=2, tokenizer=load.load_tokenizer(tmp_path)
    )
    assert hash_weights(loaded) == hash_weights(model)
    assert loaded.config.pad_token_id == tokenizer.pad_token_id
    assert loaded.config.eos_token_id == tokenizer.eos_token_id


@pytest.mark.parametrize("shape", HEADS)
def test_inputs_of_the_full_length_can_be_trained_on(shape: str, tokenizer: PreTrainedTokenizerBase) -> None:
    model = scratch.build_model(config_of(shape, tokenizer), HEADS[shape], {}, seed=1).train()
    ids = torch.randint(2, len(tokenizer), (2, LENGTH), generator=torch.Generator().manual_seed(0))
    model(input_ids=ids, labels=ids).loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
    if model.can_generate():
        assert model.generate(ids[:, :4], max_new_tokens=3, do_sample=False).shape[0] == 2


def test_dropout_is_that_of_the_recipe_or_the_default_of_the_shape(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    keys = {
        "bert": "hidden_dropout_prob",
        "gpt2": "resid_pdrop",
        "llama": "attention_dropout",
        "t5": "dropout_rate",
        "bart": "dropout",
        "lstm": "dropout",
    }
    for shape, key in keys.items():
        assert config_of(shape, tokenizer)[key] == (0.0 if shape == "llama" else 0.1)
        assert config_of(shape, tokenizer, dropout=0.3)[key] == 0.3


def test_a_task_head_has_its_labels_and_its_bias(tokenizer: PreTrainedTokenizerBase) -> None:
    head = {"num_labels": 3, "id2label": {0: "a", 1: "b", 2: "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}
    model = scratch.build_model(
        config_of("bert", tokenizer),
        "AutoModelForSequenceClassification",
        head,
        seed=1,
        bias=[1.0, 2.0, 3.0],
    )
    assert model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert model.classifier.bias.tolist() == [1.0, 2.0, 3.0]


def test_a_head_that_the_shape_lacks_is_an_error(tokenizer: PreTrainedTokenizerBase) -> None:
    scratch.check_head(config_of("lstm", tokenizer), CAUSAL)
    with pytest.raises(RecipeError, match=r"C10\] model.from_scratch.shape: lstm has no head .*Seq2SeqLM"):
        scratch.check_head(config_of("lstm", tokenizer), PAIRED)


def test_the_tokenizer_is_configured_for_the_shape(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    own = AutoTokenizer.from_pretrained(tmp_path)
    scratch.configure_tokenizer(own, Scratch(shape="bert"), LENGTH)
    assert (own.model_max_length, list(own("the mill"))[1]) == (LENGTH, "token_type_ids")
    scratch.configure_tokenizer(own, Scratch(shape="lstm"), LENGTH)
    assert own.model_max_length > 10**9
    assert "token_type_ids" not in own("the mill")
