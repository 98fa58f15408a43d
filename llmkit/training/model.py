"""Load the model of a run: base model or new weights, the task's head, and the adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.base.errors import RecipeError
from llmkit.base.progress import Progress
from llmkit.training.prepare import Prepared

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from llmkit.recipe.schema import Recipe

__all__ = ["load_model"]


def load_model(prepared: Prepared, progress: Progress) -> nn.Module:
    """Load the base model, or initialize new weights, with the task's head and the recipe's LoRA adapter.

    Raises:
        ModelError: For a checkpoint that cannot be used.
        RecipeError: C10, for gradient checkpointing with an architecture that does not support it (LSTM).
    """
    from llmkit.models import load, scratch

    recipe, task = prepared.recipe, prepared.task
    head = task.head(prepared.examples.labels, prepared.examples.references["train"])
    if recipe.model.from_scratch:
        seed = recipe.training_seed
        model = scratch.build_model(
            prepared.config, task.spec.auto_class, head.config, seed=seed, bias=head.bias
        )
        _check_checkpointing(recipe, model)
        return model
    progress.note(f"loading {recipe.model.name}")
    model = load.load_pretrained(
        prepared.base,
        task.spec.auto_class,
        head.config,
        new_head=recipe.model.new_head,
        seed=recipe.training_seed,
        tokenizer=prepared.tokenizer,
        bias=head.bias,
    )
    _check_checkpointing(recipe, model)
    if recipe.model.lora is None:
        return model
    from llmkit.models import lora  # imports peft, which takes a while

    vocabulary = prepared.tokenizer.get_vocab()
    new = [vocabulary[token] for token in task.spec.special_tokens]
    return lora.add_adapter(model, recipe.model.lora, seed=recipe.training_seed, new_tokens=new)


def _check_checkpointing(recipe: Recipe, model: PreTrainedModel) -> None:
    """Raise RecipeError C10 for gradient checkpointing with an architecture that does not support it (LSTM)."""
    if recipe.train.gradient_checkpointing and not model.supports_gradient_checkpointing:
        message = f"{model.config.model_type} has no gradient checkpointing"
        raise RecipeError(
            "C10", "train.gradient_checkpointing", message, "remove train.gradient_checkpointing"
        )
