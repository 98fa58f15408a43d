"""Score the validation set during training, and tune thresholds and temperature on it afterwards."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from llmkit import tasks
from llmkit.training.prepare import Prepared
from llmkit.training.training_run import TrainingRun

if TYPE_CHECKING:
    from torch import nn

    from llmkit.tasks.protocol import Arrays

__all__ = ["tune", "validate"]


def validate(training: TrainingRun) -> bool:
    """Score the validation set, log the scores and update the state.

    Returns:
        Whether this step has the best `evaluate.best` so far. Always False without a validation set: the last
        step then counts as the best.
    """
    prepared, state = training.prepared, training.state
    if "validation" not in prepared.encoded:
        training.state = replace(state, best_step=state.step)
        return False
    began = time.perf_counter()
    task, name = prepared.task, prepared.recipe.evaluate.best
    validating = name in task.spec.validation_metrics
    predictions = training.predict(training.placed.full_model(), "validation", validating=validating)
    labels = prepared.examples.references["validation"]
    # All processes use the scores of the main process, the only one that may run generated programs.
    sheet = task.score(labels, predictions, prepared.examples.labels, resampling=None)
    values = training.session.broadcast(sheet.values)
    training.log("evaluation", {"step": state.step, **values})
    printed = dict.fromkeys(["loss", name, *task.spec.metrics[:2]])
    training.progress.note(
        f"step {state.step}: validation "
        + "  ".join(f"{key} {values[key]:.4f}" for key in printed if key in values)
    )
    state = replace(state, evaluation_seconds=state.evaluation_seconds + time.perf_counter() - began)
    value = -values[name] if name in task.spec.lower_is_better else values[name]
    if state.best_value is not None and value <= state.best_value:
        training.state = replace(state, misses=state.misses + 1)
        return False
    training.state = replace(state, best_value=value, best_step=state.step, misses=0)
    training.best_predictions = None if validating else predictions
    return True


def tune(training: TrainingRun, model: nn.Module, predictions: Arrays | None = None) -> Prepared:
    """Return the prepared run with thresholds and temperature fitted on the validation set.

    Args:
        training: The run; its prepared data stays as it is.
        model: The model that predicts the validation set, unless predictions are given.
        predictions: The predictions for the validation set, if they have been computed already.
    """
    prepared = training.prepared
    task = prepared.task
    if not task.spec.can_tune or "validation" not in prepared.encoded:
        return prepared
    if predictions is None:
        predictions = training.predict(model, "validation")
    tuned = tasks.load(
        prepared.recipe.task, task.tune(prepared.examples.references["validation"], predictions)
    )
    return replace(prepared, task=tuned.bind(prepared.config, prepared.tokenizer))
