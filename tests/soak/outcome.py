"""What a run ended with, all that must be equal: weights, log, answers, state, and what each update was fed."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llmkit.base.run import Run

__all__ = ["Outcome", "differences", "fed", "outcome", "record"]

TIMES = {"seconds", "evaluation_seconds"}


@dataclass(frozen=True)
class Outcome:
    """weights and answers are digests; fed: step -> rank -> [[epoch, examples, digest of the batch], ...]."""

    weights: str
    log: list[dict[str, Any]]
    answers: str
    state: dict[str, Any]
    fed: dict[int, dict[int, list[Any]]]


def record(folder: Path, rank: int) -> None:
    """From now on note what each update of this process is fed, in folder/fed-RANK.jsonl."""
    from llmkit.engine.session import Session
    from llmkit.training import training_run

    seed_update, make_batches = Session.seed_step, training_run.make_batches
    file = os.open(folder / f"fed-{rank}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(*values: Any) -> None:
        os.write(file, (json.dumps(values) + "\n").encode())

    def seeded(session: Session, step: int) -> None:
        note(step)
        seed_update(session, step)

    def made(*arguments: Any, **options: Any) -> Any:
        batches = make_batches(*arguments, **options)

        def fetch(indices: Any, epoch: int | None) -> Any:
            batch = batches.fetch(indices, epoch)
            if epoch is not None:
                note(epoch, indices.tolist(), _batch_digest(batch))
            return batch

        return replace(batches, fetch=fetch)

    Session.seed_step = seeded  # type: ignore[method-assign]
    training_run.make_batches = made


def outcome(folder: Path) -> Outcome:
    """Of the finished run in folder/run."""
    run = Run(folder / "run")
    newest = max(run.checkpoints.glob("step-*"))
    state = json.loads((newest / "state.json").read_text())
    log = [{key: value for key, value in line.items() if key not in TIMES} for line in run.read_log()]
    return Outcome(
        weights=_digest([*sorted(run.model.glob("*.safetensors")), *sorted(newest.glob("*.safetensors"))]),
        log=log,
        answers=_digest([*sorted((run.path / "predictions").iterdir()), run.path / "scores.json"]),
        state={key: value for key, value in state.items() if key not in TIMES | {"log_bytes"}},
        fed=fed(folder),
    )


def fed(folder: Path) -> dict[int, dict[int, list[Any]]]:
    """Of each update the last attempt, by which the weights have moved."""
    found: dict[int, dict[int, list[Any]]] = {}
    for path in sorted(folder.glob("fed-*.jsonl")):
        rank, batches = int(path.stem.removeprefix("fed-")), []
        for line in path.read_text().split("\n")[:-1]:
            values = json.loads(line)
            if len(values) == 1:
                batches = found.setdefault(values[0], {})[rank] = []
            else:
                batches.append(values)
    return dict(sorted(found.items()))


def differences(found: Outcome, expected: Outcome) -> list[str]:
    """The names of what is not equal."""
    return [name for name in Outcome.__annotations__ if getattr(found, name) != getattr(expected, name)]


def _digest(paths: list[Path]) -> str:
    return " ".join(f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}" for path in paths)


def _batch_digest(batch: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(batch.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]
