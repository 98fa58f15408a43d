"""Load the model of a run: the checkpoint or new weights, the task's head, adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.base.errors import RecipeError
from llmkit.base.progress import Progress
from llmkit.training.prepare import Prepared

if TYPE_CHECKING:
    from llmkit.recipe.schema import Recipe

__all__ = ["load_model"]


def load_model(prepared: Prepared, progress: Progress) -> Any:
    """The checkpoint (or the new weights) under the task's head, with adapters if the recipe asks for them."""
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
    from llmkit.models import lora  # peft takes a while to import

    new = prepared.tokenizer.convert_tokens_to_ids(list(task.spec.special_tokens))
    return lora.add_adapter(model, recipe.model.lora, seed=recipe.training_seed, new_tokens=new)


def _check_checkpointing(recipe: Recipe, model: Any) -> None:
    """Raises RecipeError C10 where the recipe asks an architecture (lstm) for what it has not."""
    if recipe.train.gradient_checkpointing and not model.supports_gradient_checkpointing:
        message = f"{model.config.model_type} can't compute its activations twice"
        raise RecipeError(
            "C10", "train.gradient_checkpointing", message, "remove train.gradient_checkpointing"
        )
