"""Load a trained model from a run folder, a model folder, a Hub id or the package index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.base.errors import ModelError, RecipeError
from llmkit.base.progress import Progress
from llmkit.base.run import Run
from llmkit.recipe.schema import Recipe, Train

if TYPE_CHECKING:
    from llmkit.tasks.protocol import Task

__all__ = ["TrainedModel", "find_model_folder", "open_model", "quantize_model"]


@dataclass(frozen=True)
class TrainedModel:
    """A model that is ready to predict.

    Attributes:
        name: What the user called it.
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
    tokenizer: Any
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
    from llmkit import tasks
    from llmkit.assets import hub
    from llmkit.inference import libraries

    libraries.load()
    from llmkit.models import load, save

    run, folder = Run(Path(target)), find_model_folder(target, progress)
    card = save.load_metadata(folder) or _card_of(folder, task)
    tokenizer = load.load_tokenizer(folder, weights=not card.adapter)
    base = hub.fetch_model(card.base, progress) if card.adapter else folder
    known = tasks.load(_allowed(card.task, run_programs), card.tuned).bind(load.check_folder(base), tokenizer)
    recipe = _recipe_of(run) if run.exists else None
    kept = recipe.train if recipe else Train()
    return TrainedModel(
        name=target,
        task=known,
        labels=tuple(card.labels),
        columns=card.columns,
        train=kept.model_copy(update={"max_length": card.max_length, "truncation": True}),
        model=_model(base, folder, card, known, tokenizer),
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


def _allowed(options: Mapping[str, Any], run_programs: bool) -> dict[str, Any]:
    """Return the task's options as saved with the model, except for the permission to run programs."""
    from llmkit import tasks

    if "run_programs" in tasks.options(options["name"]).model_fields:
        return {**options, "run_programs": run_programs}
    if run_programs:
        message = f"this is a model of {options['name']}, which writes no programs"
        raise RecipeError("U01", "--run-programs", message, "leave it out")
    return dict(options)


def find_model_folder(target: str, progress: Progress) -> Path:
    """Return the folder of the model that `target` names. Raises ModelError R05 for a run without a model."""
    from llmkit.assets import hub

    run = Run(Path(target))
    if not run.exists:
        return hub.fetch_model(target, progress)
    if not (run.model / "llmkit.json").exists():
        message = "has no model yet, because its training is not finished"
        raise ModelError("R05", str(run.path), message, "continue it with --resume")
    return run.model


def _recipe_of(run: Run) -> Recipe:
    from llmkit import tasks
    from llmkit.recipe import load

    return load.load(str(run.recipe), task_names=tasks.names(), task_options=tasks.options)


def _card_of(folder: Path, task: str | None) -> Any:
    """What can be told of a model that llmkit did not make: its head says the task, if none is given, its config the
    labels."""
    from llmkit import tasks
    from llmkit.models import load, save

    config = load.check_folder(folder)
    if task is not None:
        return save.ModelMetadata(
            {"name": task}, [], {}, load.get_max_length(folder, load.load_tokenizer(folder)), base=str(folder)
        )
    fitting = [name for name in tasks.names() if _fits(config, tasks.load({"name": name}))]
    if not fitting:
        heads = ", ".join(config.get("architectures") or ["none"])
        raise ModelError("M11", str(folder), f"has no head that llmkit knows ({heads})", "fine-tune it first")
    found = tasks.load({"name": fitting[0]})
    names = config.get("id2label") or {str(i): f"LABEL_{i}" for i in range(config.get("num_labels", 2))}
    labels = [names[key] for key in sorted(names, key=int)]
    reach = min(512, load.get_max_length(folder, load.load_tokenizer(folder)))
    return save.ModelMetadata({"name": fitting[0]}, labels, dict(found.spec.columns), reach, base=str(folder))


def _fits(config: dict[str, Any], task: Task) -> bool:
    """Whether a checkpoint's head is of this task, as far as its config tells."""
    from llmkit.models import load

    if not (task.spec.shown_by_head and load.has_head(config, task.spec.auto_class)):
        return False
    outputs = len(config.get("id2label") or {}) or config.get("num_labels", 2)
    kind = config.get("problem_type") or ("regression" if outputs == 1 else None)
    return kind in (None, task.head(["a", "b"]).config.get("problem_type"))


def _model(base: Path, folder: Path, card: Any, task: Task, tokenizer: Any) -> Any:
    """The weights in the base folder, with the adapter kept in the folder on top if there is one."""
    from llmkit.models import load

    model = load.load_pretrained(
        base,
        task.spec.auto_class,
        task.head(card.labels).config,
        new_head=card.adapter,
        seed=0,
        tokenizer=tokenizer,
    )
    if not card.adapter:
        return model
    from llmkit.models import lora  # peft takes a while to import

    return lora.load_adapter(model, folder)
