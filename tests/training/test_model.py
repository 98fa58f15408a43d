"""The model of a run has the task's head and the recipe's adapter, initialized by the seed."""

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


def test_new_head_is_initialized_by_the_seed(load: Callable[..., Any]) -> None:
    first, again, other = (load(f"seed={seed}").classifier.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_adapter_is_small_and_initialized_by_the_seed(load: Callable[..., Any]) -> None:
    models = [load("model.lora.rank=2", f"seed={seed}") for seed in (1, 1, 2)]
    trained = [
        {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        for model in models
    ]
    initial = [
        torch.cat([w.flatten() for name, w in weights.items() if "lora_A" in name]) for weights in trained
    ]
    assert sum(w.numel() for w in trained[0].values()) < sum(w.numel() for w in models[0].parameters()) / 2
    assert torch.equal(initial[0], initial[1])
    assert not torch.equal(initial[0], initial[2])


def test_unsupported_gradient_checkpointing_is_an_error(load: Callable[..., Any], tiny_gpt: Path) -> None:
    new = ["model.name=null", "model.from_scratch.shape=lstm", f"model.tokenizer={tiny_gpt}"]
    with pytest.raises(RecipeError, match=r"error\[C10\] train.gradient_checkpointing: lstm"):
        load(*new, "task.name=clm", "evaluate.best=loss", "train.gradient_checkpointing=true")
