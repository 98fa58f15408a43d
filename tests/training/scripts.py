"""Settings and checks that the tests of training share."""

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
    """The model holds what the checkpoint of this step holds, which differs from the last one's."""
    saved = load_file(training.run.checkpoints / f"step-{step:08d}" / "weights.safetensors")
    now = training.model.state_dict()
    assert saved
    assert all(torch.equal(value, now[name]) for name, value in saved.items())
