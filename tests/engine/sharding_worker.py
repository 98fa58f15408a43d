"""Each recipe trained whole and sharded by the same processes, saved, and gone on with; prints what came out as JSON.

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

SIZES = [7, 1, 5, 3]  # examples of each update; of one of them a single process has a micro-batch
SAVED = 2  # updates before the checkpoint


@dataclass
class Trainer:
    """One model in training."""

    session: Session
    prepared: Prepared
    placed: Placed
    optimizer: torch.optim.Optimizer

    @classmethod
    def begin(cls, session: Session, prepared: Prepared, *, shard: bool) -> Trainer:
        placed = sharding.place(session, load_model(prepared, SILENT), shard=shard)
        if prepared.recipe.train.gradient_checkpointing:
            how = {"use_reentrant": False}
            placed.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=how)
        return cls(session, prepared, placed, build_adamw(placed.model, 0.01))

    def run(self, first: int, last: int) -> list[tuple[float, float]]:
        """(loss, gradient norm) of each update."""
        task, examples = self.prepared.task, self.prepared.examples
        steps = train(
            self.session,
            self.placed.model,
            self.session.accelerator.prepare_optimizer(self.optimizer),
            self.training.batches("train"),
            task.loss(examples.golds["train"], len(examples.labels)),
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
        """By the first process; of a sharded model with the others."""
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


def figures(session: Session, prepared: Prepared, folder: Path) -> dict[str, Any]:
    whole = Trainer.begin(session, prepared, shard=False)
    plain = whole.run(0, SAVED)
    of_whole = whole.save(folder / "whole")
    plain += whole.run(SAVED, len(SIZES))
    sharded = Trainer.begin(session, prepared, shard=True)
    spread = sharded.run(0, SAVED)
    of_sharded = sharded.save(folder / "sharded")
    at_save = sharded.digest()
    spread += sharded.run(SAVED, len(SIZES))

    again = Trainer.begin(session, prepared, shard=True).load(of_sharded)
    opened_whole = Trainer.begin(session, prepared, shard=False).load(of_sharded)
    opened_sharded = Trainer.begin(session, prepared, shard=True).load(of_whole)
    found = {
        "opened": {"saved": at_save, "sharded": again.digest(), "whole": opened_whole.digest()},
        "numbers": [numbers(trainer) for trainer in (whole, again)],
    }
    again.run(SAVED, len(SIZES))
    opened_whole.run(SAVED, len(SIZES))
    opened_sharded.run(SAVED, len(SIZES))
    answers = sharded.training.predict(sharded.placed.full_model(), "validation")
    theirs = whole.training.predict(whole.placed.full_model(), "validation")
    return {
        **found,
        "plain": plain,
        "spread": spread,
        "resumed": {"whole run": sharded.digest(), "resumed": again.digest()},
        "difference": difference(whole.weights(), sharded.weights()),
        "across": [difference(sharded.weights(), t.weights()) for t in (opened_whole, opened_sharded)],
        "answers": max(apart(answers[name], theirs[name]) for name in theirs),
    }


def numbers(trainer: Trainer) -> int:
    """How many this process holds of the weights."""
    return sum(sharding.get_local_rows(p).numel() for p in trainer.placed.model.parameters())


def difference(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    assert ours.keys() == theirs.keys()
    return max(float((ours[name].double() - theirs[name].double()).abs().max()) for name in ours)


def apart(ours: Any, theirs: Any) -> float:
    """The largest difference of two arrays, relative where numbers are large; of texts whether any differs."""
    if ours.dtype.kind in "fiub":
        ours, theirs = ours.astype(float), theirs.astype(float)
        return float(np.max(np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))))
    return float(any(str(a) != str(b) for a, b in zip(ours, theirs, strict=True)))


def main(folder: Path, paths: list[str]) -> None:
    torch.set_num_threads(1)
    recipes = [load.load(path, (), task_names=tasks.names(), task_options=tasks.options) for path in paths]
    all_prepared = [prepare(recipe, SILENT) for recipe in recipes]
    with sessions.start(seed=1, precision="fp32") as session:
        found = {
            Path(path).stem: figures(session, prepared, folder / Path(path).stem)
            for path, prepared in zip(paths, all_prepared, strict=True)
        }
        if session.rank == 0:
            print(json.dumps({"world_size": session.world_size, "figures": found}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
