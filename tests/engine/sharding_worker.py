"""Train each recipe plain and sharded in the same processes, save and resume, and print the figures as JSON.

Usage: sharding_worker.py FOLDER RECIPE [RECIPE ...]      (started by a launcher, in several processes)
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from llmkit import tasks
from llmkit.base.progress import SILENT
from llmkit.base.run import Run
from llmkit.data.sampler import PlannedStep
from llmkit.engine import checkpoint, sharding
from llmkit.engine import session as sessions
from llmkit.engine.checkpoint import State
from llmkit.engine.optim import Schedule, build_adamw
from llmkit.engine.session import Session
from llmkit.engine.sharding import Placed
from llmkit.engine.train import train
from llmkit.models.save import hash_weights
from llmkit.recipe import load
from llmkit.training.model import load_model
from llmkit.training.prepare import Prepared, prepare
from llmkit.training.training_run import TrainingRun
from tests.float64 import in_float64

SIZES = [7, 1, 5, 3]  # examples of each step; with a single example, only one process has a micro-batch
SAVED = 2  # steps before the checkpoint


@dataclass
class Trainer:
    """One model in training."""

    session: Session
    prepared: Prepared
    placed: Placed
    optimizer: torch.optim.Optimizer

    @classmethod
    def begin(cls, session: Session, prepared: Prepared, *, shard: bool) -> Trainer:
        placed = sharding.place(session, in_float64(load_model(prepared, SILENT)), shard=shard)
        if prepared.recipe.train.gradient_checkpointing:
            options = {"use_reentrant": False}
            placed.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)
        return cls(session, prepared, placed, build_adamw(placed.model, 0.01))

    def run(self, first: int, last: int) -> list[tuple[float, float]]:
        """Run steps `first` + 1 to `last` and return (loss, gradient norm) of each."""
        task, examples = self.prepared.task, self.prepared.examples
        steps = train(
            self.session,
            self.placed.model,
            self.session.accelerator.prepare_optimizer(self.optimizer),
            self.training.batches("train"),
            task.loss(examples.references["train"], len(examples.labels)),
            plan_steps(first, last),
            schedule=Schedule(1e-4, len(SIZES), 0, "constant"),
            max_grad_norm=0.5,
        )
        return [(step.loss, step.grad_norm) for step in steps]

    @property
    def training(self) -> TrainingRun:
        """The run that this model would be trained in, for its batches and predictions."""
        run = Run(Path("unused"))
        return TrainingRun(self.session, run, self.prepared, self.placed, self.optimizer, State(), SILENT)

    def save(self, folder: Path) -> Path:
        """Save on rank 0, together with the other processes if the model is sharded."""
        if self.session.rank == 0:
            checkpoint.save(folder, self.placed.model, self.optimizer, State(step=SAVED))
        elif sharding.is_sharded(self.placed.model):
            checkpoint.join_save(self.placed.model, self.optimizer)
        self.session.wait()
        return folder / f"step-{SAVED:08d}"

    def load(self, folder: Path) -> Trainer:
        checkpoint.load(folder, self.placed.model, self.optimizer)
        return self

    def weights(self) -> dict[str, torch.Tensor]:
        return dict(self.placed.full_model().state_dict())

    def digest(self) -> str:
        return hash_weights(self.placed.full_model())


def plan_steps(first: int, last: int) -> Iterator[PlannedStep]:
    ends = np.cumsum([0, *SIZES])
    for number in range(first, last):
        yield PlannedStep(number + 1, 0, np.arange(ends[number], ends[number + 1]))


def measure(session: Session, prepared: Prepared, folder: Path) -> dict[str, Any]:
    """Train one recipe plain and sharded, save and resume both, and return figures that compare them."""
    plain = Trainer.begin(session, prepared, shard=False)
    plain_steps = plain.run(0, SAVED)
    plain_checkpoint = plain.save(folder / "plain")
    plain_steps += plain.run(SAVED, len(SIZES))
    sharded = Trainer.begin(session, prepared, shard=True)
    sharded_steps = sharded.run(0, SAVED)
    sharded_checkpoint = sharded.save(folder / "sharded")
    saved_digest = sharded.digest()
    sharded_steps += sharded.run(SAVED, len(SIZES))

    resumed = Trainer.begin(session, prepared, shard=True).load(sharded_checkpoint)
    as_plain = Trainer.begin(session, prepared, shard=False).load(sharded_checkpoint)
    as_sharded = Trainer.begin(session, prepared, shard=True).load(plain_checkpoint)
    digests = {"saved": saved_digest, "sharded": resumed.digest(), "plain": as_plain.digest()}
    parameters = [count_local_parameters(trainer) for trainer in (plain, resumed)]
    resumed.run(SAVED, len(SIZES))
    as_plain.run(SAVED, len(SIZES))
    as_sharded.run(SAVED, len(SIZES))
    predictions = sharded.training.predict(sharded.placed.full_model(), "validation")
    expected = plain.training.predict(plain.placed.full_model(), "validation")
    return {
        "digests": digests,
        "parameters": parameters,
        "plain": plain_steps,
        "sharded": sharded_steps,
        "resumed": {"uninterrupted": sharded.digest(), "resumed": resumed.digest()},
        "weight_difference": max_difference(plain.weights(), sharded.weights()),
        "cross_resume_differences": [
            max_difference(sharded.weights(), trainer.weights()) for trainer in (as_plain, as_sharded)
        ],
        "prediction_difference": max(compare_arrays(predictions[name], expected[name]) for name in expected),
    }


def count_local_parameters(trainer: Trainer) -> int:
    """Return how many numbers of the weights this process holds."""
    return sum(sharding.get_local_rows(p).numel() for p in trainer.placed.model.parameters())


def max_difference(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    assert ours.keys() == theirs.keys()
    return max(float((ours[name].double() - theirs[name].double()).abs().max()) for name in ours)


def compare_arrays(ours: Any, theirs: Any) -> float:
    """Return the largest difference of two arrays, relative where values exceed 1; for texts, 1 if any differs."""
    if ours.dtype.kind in "fiub":
        ours, theirs = ours.astype(float), theirs.astype(float)
        return float(np.max(np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))))
    return float(any(str(a) != str(b) for a, b in zip(ours, theirs, strict=True)))


def main(folder: Path, paths: list[str]) -> None:
    recipes = [load.load(path, (), task_names=tasks.names(), task_options=tasks.options) for path in paths]
    all_prepared = [prepare(recipe, SILENT) for recipe in recipes]
    with sessions.start(seed=1, precision="fp32") as session:
        figures = {
            Path(path).stem: measure(session, prepared, folder / Path(path).stem)
            for path, prepared in zip(paths, all_prepared, strict=True)
        }
        if session.rank == 0:
            print(json.dumps({"world_size": session.world_size, "figures": figures}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
