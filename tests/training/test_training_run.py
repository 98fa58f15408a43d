"""A training run places its model, batches and predicts its splits, and logs on the main process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from llmkit.base.errors import RunError
from llmkit.base.progress import SILENT
from llmkit.base.run import Run
from llmkit.engine import session as sessions
from llmkit.training.model import load_model
from llmkit.training.prepare import prepare
from llmkit.training.training_run import TrainingRun


@pytest.fixture
def training(recipe_of: Callable[..., Any], tmp_path: Path) -> Any:
    prepared = prepare(recipe_of(), SILENT)
    with sessions.start(seed=1, precision="fp32") as session:
        yield TrainingRun.start(session, Run(tmp_path), prepared, load_model(prepared, SILENT), SILENT)


def test_training_run_starts_at_step_0_with_all_weights(training: TrainingRun) -> None:
    assert (training.state.step, training.best_predictions) == (0, None)
    optimized = sum(p.numel() for group in training.optimizer.param_groups for p in group["params"])
    assert optimized == sum(p.numel() for p in training.placed.model.parameters())


def test_predictions_do_not_depend_on_the_micro_batches(training: TrainingRun) -> None:
    predictions = training.predict(training.placed.full_model(), "test")
    train = training.prepared.recipe.train.model_copy(update={"micro_batch_tokens": 33})
    recipe = training.prepared.recipe.model_copy(update={"train": train})
    small = replace(training, prepared=replace(training.prepared, recipe=recipe))
    again = small.predict(training.placed.full_model(), "test")
    assert len(predictions["prediction"]) == len(training.prepared.encoded["test"])
    assert np.abs(predictions["probabilities"] - again["probabilities"]).max() < 1e-6


def test_only_the_main_process_writes_the_log(training: TrainingRun) -> None:
    training.log("step", {"step": 1})
    second_process: Any = SimpleNamespace(rank=1)
    replace(training, session=second_process).log("step", {"step": 2})
    assert training.folder.read_log() == [{"kind": "step", "step": 1}]


def test_processes_with_different_weights_are_an_error(training: TrainingRun) -> None:
    session: Any = SimpleNamespace(has_same_weights=lambda _: False, device=training.session.device)
    with pytest.raises(RunError, match="M12"):
        TrainingRun.start(session, training.folder, training.prepared, training.placed.model, SILENT)
