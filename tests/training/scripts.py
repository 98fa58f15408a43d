"""Settings and checks shared by the tests of training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import load_file

Train = Callable[..., Any]
EIGHT = ("train.epochs=null", "train.max_steps=8")
EVERY_TWO = (*EIGHT, "evaluate.every_steps=2", "checkpoint.every_steps=1")


def checkpoints(run: Any) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in run.checkpoints.iterdir())


def assert_weights_of(training: Any, step: int) -> None:
    """Check that the model has the weights of the checkpoint of this step."""
    saved = load_file(training.run.checkpoints / f"step-{step:08d}" / "weights.safetensors")
    current = training.model.state_dict()
    assert saved
    assert all(torch.equal(value, current[name]) for name, value in saved.items())
