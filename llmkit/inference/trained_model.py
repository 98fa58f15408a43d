"""Load a trained model from a run folder, a model folder, a Hub id or the package index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit import tasks
from llmkit.assets import hub
from llmkit.base.errors import ModelError, RecipeError
from llmkit.base.progress import Progress
from llmkit.base.run import Run
from llmkit.inference import libraries
from llmkit.recipe import load as load_recipe
from llmkit.recipe.schema import Recipe, Train

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from llmkit.models.save import ModelMetadata
    from llmkit.tasks.protocol import Task

__all__ = ["TrainedModel", "find_model_folder", "open_model", "quantize_model"]


@dataclass(frozen=True)
class TrainedModel:
    """A model that is ready to predict.

    Attributes:
        name: The path, Hub id or index:NAME under which the user named it.
        task: The task, bound to the model.
        labels: Class names in the order of the logits.
        columns: Column of the training data for each input.
        train: Settings of truncation and batching.
        model: The transformers model, with its adapter where it has one.
        tokenizer: The tokenizer.
        recipe: The run's recipe; None for a model without a run.
        calibrated: Whether probabilities are calibrated with the fitted temperature.
    """

    name: str
    task: Task
    labels: tuple[str, ...]
    columns: dict[str, str]
    train: Train
    model: Any
    tokenizer: PreTrainedTokenizerBase
    recipe: Recipe | None
    calibrated: bool = False


def open_model(
    target: str, progress: Progress, *, task: str | None = None, run_programs: bool = False
) -> TrainedModel:
    """Load a trained model.

    Args:
        target: A run folder, a model folder, a Hub id, or index:NAME.
        progress: Receives messages.
        task: Task of a model that llmkit did not train; None derives it from the model's head.
        run_programs: Whether generated programs may be run. The permission given for training does not carry over.

    Raises:
        ModelError: For a model that cannot be used.
        RunError: For a run without a model.
        RecipeError: U01, for `run_programs` with a model that generates no programs.
    """
    libraries.load()
    from llmkit.models import load, save

    run, folder = Run(Path(target)), find_model_folder(target, progress)
    metadata = save.load_metadata(folder) or _infer_metadata(folder, task)
    tokenizer = load.load_tokenizer(folder, weights=not metadata.adapter)
    base = hub.fetch_model(metadata.base, progress) if metadata.adapter else folder
    options = _set_permission(metadata.task, run_programs)
    bound = tasks.load(options, metadata.tuned).bind(load.check_folder(base), tokenizer)
    recipe = None
    if run.exists:
        recipe = load_recipe.load(str(run.recipe), task_names=tasks.names(), task_options=tasks.options)
    settings = recipe.train if recipe else Train()
    model: Any = load.load_pretrained(
        base,
        bound.spec.auto_class,
        bound.head(metadata.labels).config,
        new_head=metadata.adapter,
        seed=0,
        tokenizer=tokenizer,
    )
    if metadata.adapter:
        from llmkit.models import lora  # peft takes a while to import

        model = lora.load_adapter(model, folder)
    return TrainedModel(
        name=target,
        task=bound,
        labels=tuple(metadata.labels),
        columns=metadata.columns,
        train=settings.model_copy(update={"max_length": metadata.max_length, "truncation": True}),
        model=model,
        tokenizer=tokenizer,
        recipe=recipe,
    )


def quantize_model(opened: TrainedModel) -> TrainedModel:
    """Return the model with int8 linear layers. Raises RecipeError U01 where there is a GPU, and ModelError M13."""
    import torch

    from llmkit.models.cpu import int8

    if torch.accelerator.is_available():
        raise RecipeError("U01", "--int8", "works on a CPU only", "leave it out")
    return replace(opened, model=int8.quantize(opened.model))


def _set_permission(options: Mapping[str, Any], run_programs: bool) -> dict[str, Any]:
    """Return the task's saved options, with the permission to run programs replaced. Raises RecipeError U01."""
    if "run_programs" in tasks.options(options["name"]).model_fields:
        return {**options, "run_programs": run_programs}
    if run_programs:
        message = f"this is a model of {options['name']}, which writes no programs"
        raise RecipeError("U01", "--run-programs", message, "leave it out")
    return dict(options)


def find_model_folder(target: str, progress: Progress) -> Path:
    """Return the folder of the model that `target` names. Raises ModelError R05 for a run without a model."""
    run = Run(Path(target))
    if not run.exists:
        return hub.fetch_model(target, progress)
    if not (run.model / "llmkit.json").exists():
        message = "has no model yet, because its training is not finished"
        raise ModelError("R05", str(run.path), message, "continue it with --resume")
    return run.model


def _infer_metadata(folder: Path, task: str | None) -> ModelMetadata:
    """Describe a model that llmkit did not save: its task by its head, if none is named, its labels by its config.

    Raises:
        ModelError: M11, when the head belongs to none of the tasks.
    """
    from llmkit.models import load, save

    config = load.check_folder(folder)
    if task is not None:
        max_length = load.get_max_length(folder, load.load_tokenizer(folder))
        return save.ModelMetadata({"name": task}, [], {}, max_length, base=str(folder))
    candidates = {name: tasks.load({"name": name}) for name in tasks.names()}
    outputs = len(config.get("id2label") or {}) or config.get("num_labels", 2)
    problem_type = config.get("problem_type") or ("regression" if outputs == 1 else None)
    fitting = [
        name
        for name, candidate in candidates.items()
        if candidate.spec.shown_by_head
        and load.has_head(config, candidate.spec.auto_class)
        and problem_type in (None, candidate.head(["a", "b"]).config.get("problem_type"))
    ]
    if not fitting:
        heads = ", ".join(config.get("architectures") or ["none"])
        raise ModelError("M11", str(folder), f"has no head that llmkit knows ({heads})", "fine-tune it first")
    names = config.get("id2label") or {str(i): f"LABEL_{i}" for i in range(config.get("num_labels", 2))}
    return save.ModelMetadata(
        {"name": fitting[0]},
        labels=[names[key] for key in sorted(names, key=int)],
        columns=dict(candidates[fitting[0]].spec.columns),
        max_length=min(512, load.get_max_length(folder, load.load_tokenizer(folder))),
        base=str(folder),
    )
