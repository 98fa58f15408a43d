"""The model of a run has the task's head, the recipe's adapter, and weights that follow from the seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from llmkit.base.errors import RecipeError
from llmkit.base.progress import SILENT
from llmkit.training.model import load_model
from llmkit.training.prepare import prepare


@pytest.fixture
def load(recipe_of: Callable[..., Any]) -> Callable[..., Any]:
    def make(*overrides: str) -> Any:
        return load_model(prepare(recipe_of(*overrides), SILENT), SILENT)

    return make


def test_a_new_head_follows_from_the_seed(load: Callable[..., Any]) -> None:
    first, again, other = (load(f"seed={seed}").classifier.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_an_adapter_leaves_few_weights_to_train_and_follows_from_the_seed(load: Callable[..., Any]) -> None:
    models = [load("model.lora.rank=2", f"seed={seed}") for seed in (1, 1, 2)]
    trained = [
        {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        for model in models
    ]
    drawn = [torch.cat([w.flatten() for name, w in found.items() if "lora_A" in name]) for found in trained]
    assert sum(w.numel() for w in trained[0].values()) < sum(w.numel() for w in models[0].parameters()) / 2
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_an_architecture_without_gradient_checkpointing_is_refused(
    load: Callable[..., Any], tiny_gpt: Path
) -> None:
    new = ["model.name=null", "model.from_scratch.shape=lstm", f"model.tokenizer={tiny_gpt}"]
    with pytest.raises(RecipeError, match=r"error\[C10\] train.gradient_checkpointing: lstm"):
        load(*new, "task.name=clm", "evaluate.best=loss", "train.gradient_checkpointing=true")
