"""The outcome of a run, which must be equal after interruptions: weights, log, predictions, state and batches."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llmkit.base.run import Run

__all__ = ["Outcome", "list_differences", "read_fed", "read_outcome", "record"]

TIMES = {"seconds", "evaluation_seconds"}


@dataclass(frozen=True)
class Outcome:
    """The outcome of a finished run.

    Attributes:
        weights: Digests of the weights.
        log: The lines of the log, without times.
        predictions: Digests of predictions and scores.
        state: The state of the newest checkpoint, without times.
        fed: The batches of each step: step -> rank -> [[epoch, examples, digest of the batch], ...].
    """

    weights: str
    log: list[dict[str, Any]]
    predictions: str
    state: dict[str, Any]
    fed: dict[int, dict[int, list[Any]]]


def record(folder: Path, rank: int) -> None:
    """From now on, write the batches of each step of this process to folder/fed-RANK.jsonl."""
    from llmkit.engine.session import Session
    from llmkit.training import training_run

    seed_step, make_batches = Session.seed_step, training_run.make_batches
    file = os.open(folder / f"fed-{rank}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(*values: Any) -> None:
        os.write(file, (json.dumps(values) + "\n").encode())

    def seed_and_write(session: Session, step: int) -> None:
        write(step)
        seed_step(session, step)

    def make_recorded_batches(*arguments: Any, **options: Any) -> Any:
        batches = make_batches(*arguments, **options)

        def fetch(indices: Any, epoch: int | None) -> Any:
            batch = batches.fetch(indices, epoch)
            if epoch is not None:
                write(epoch, indices.tolist(), _compute_batch_digest(batch))
            return batch

        return replace(batches, fetch=fetch)

    Session.seed_step = seed_and_write  # type: ignore[method-assign]
    training_run.make_batches = make_recorded_batches


def read_outcome(folder: Path) -> Outcome:
    """Return the outcome of the finished run in folder/run."""
    run = Run(folder / "run")
    newest = max(run.checkpoints.glob("step-*"))
    state = json.loads((newest / "state.json").read_text())
    log = [{key: value for key, value in line.items() if key not in TIMES} for line in run.read_log()]
    return Outcome(
        weights=_compute_digest(
            [*sorted(run.model.glob("*.safetensors")), *sorted(newest.glob("*.safetensors"))]
        ),
        log=log,
        predictions=_compute_digest(
            [*sorted((run.path / "predictions").iterdir()), run.path / "scores.json"]
        ),
        state={key: value for key, value in state.items() if key not in TIMES | {"log_bytes"}},
        fed=read_fed(folder),
    )


def read_fed(folder: Path) -> dict[int, dict[int, list[Any]]]:
    """Return the batches of each step; of a step that was repeated after an interruption, those of the last attempt."""
    fed: dict[int, dict[int, list[Any]]] = {}
    for path in sorted(folder.glob("fed-*.jsonl")):
        rank, batches = int(path.stem.removeprefix("fed-")), []
        for line in path.read_text().split("\n")[:-1]:
            values = json.loads(line)
            if len(values) == 1:
                batches = fed.setdefault(values[0], {})[rank] = []
            else:
                batches.append(values)
    return dict(sorted(fed.items()))


def list_differences(actual: Outcome, expected: Outcome) -> list[str]:
    """Return the names of the attributes that differ."""
    return [name for name in Outcome.__annotations__ if getattr(actual, name) != getattr(expected, name)]


def _compute_digest(paths: list[Path]) -> str:
    return " ".join(f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}" for path in paths)


def _compute_batch_digest(batch: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(batch.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]
