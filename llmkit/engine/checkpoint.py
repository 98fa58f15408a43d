"""Checkpoints: all the state needed to resume a run, in one verified folder, without pickle.

    checkpoints/step-00000504/   weights.safetensors    trainable parameters and buffers, by name
                                 optimizer.safetensors  AdamW's moments and step, as NAME/exp_avg, ...
                                 state.json             progress of the run (State)
                                 manifest.json          size and SHA-256 of the other files, written last

Example order, dropout and learning rate are functions of (seed, step), so there is no generator, sampler or schedule
state to save. The checkpoint of a sharded model has the same format: rank 0 writes it while the other processes send
their rows (`join_save`). A folder is published by a rename after all its bytes are on disk, and a resume takes the
newest checkpoint that passes verification.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from llmkit.base import files
from llmkit.engine.tensors import copy_saved, open_file, serialize

__all__ = ["State", "find_newest", "join_save", "load", "load_state", "rotate", "save"]

PINNED = "pinned"


@dataclass(frozen=True)
class State:
    """Progress of a run after `step` steps."""

    step: int = 0
    best_value: float | None = None
    best_step: int | None = None
    misses: int = 0  # evaluations in a row without an improvement
    saved_step: int | None = None  # step of the newest checkpoint
    log_bytes: int = 0  # size of the log at this step; a resume truncates the log to it
    seconds: float = 0.0  # time spent in steps
    evaluation_seconds: float = 0.0
    examples: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    micro_batch_tokens: int | None = None  # token budget in use; None: the recipe's
    # versions, data fingerprint, threads and world size: what an exact resume depends on (JSON values)
    identity: dict[str, Any] = field(default_factory=dict)


def save(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: State) -> Path:
    """Write the checkpoint of `state.step` and return its folder.

    Only rank 0 calls this. When the model is sharded, all other processes call `join_save` at the same time.

    Args:
        folder: The run's `checkpoints` folder.
        model: The model in training.
        optimizer: Its AdamW optimizer.
        state: The progress of the run.

    Raises:
        StorageError: The disk has too little free space (checked before anything is written), or writing failed.
    """
    target = folder / f"step-{state.step:08d}"
    contents = _collect_tensors(model, optimizer)
    streams = {name: serialize(tensors) for name, tensors in contents.items()}
    try:
        files.check_space(
            target, sum(tensor.nbytes for tensors in contents.values() for tensor in tensors.values())
        )
        with files.staged_folder(target) as staged:
            for name, stream in streams.items():
                files.write_chunks(staged / name, stream)
            files.write_json(staged / "state.json", asdict(state))
    finally:
        _exhaust(streams.values())  # also after an error: the other processes wait at each tensor
    return target


def join_save(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Send this process's rows of every tensor while rank 0 saves a sharded model."""
    _exhaust(map(serialize, _collect_tensors(model, optimizer).values()))


def load(checkpoint: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None) -> State:
    """Restore the weights, and the optimizer's moments if an optimizer is given; return the saved state."""
    state = load_state(checkpoint)
    weights = _collect_weights(model)
    with open_file(checkpoint / "weights.safetensors") as saved:
        assert set(saved.keys()) == weights.keys(), "the checkpoint belongs to another model"
        for name, value in weights.items():
            copy_saved(value, saved, name)
    if optimizer is None:
        return state
    parameters = dict(model.named_parameters())
    with open_file(checkpoint / "optimizer.safetensors") as saved:
        for key in saved.keys():  # noqa: SIM118  # a safetensors handle is not a dictionary
            name, _, kind = key.rpartition("/")
            parameter = parameters[name]
            # Fused AdamW keeps `step`, a single number, on the parameter's device like the moments.
            moment = (
                torch.empty((), device=parameter.device)
                if kind == "step"
                else torch.empty_like(parameter, requires_grad=False)
            )
            copy_saved(moment, saved, key)
            optimizer.state[parameter][kind] = moment
    return state


def load_state(checkpoint: Path) -> State:
    """Read the state of a checkpoint without its weights."""
    return State(**json.loads((checkpoint / "state.json").read_text(encoding="utf-8")))


def find_newest(folder: Path, note: Callable[[str], None]) -> Path | None:
    """Return the newest checkpoint that passes verification, or None; report each damaged one through `note`."""
    for candidate in sorted(folder.glob("step-*"), reverse=True):
        damage = files.verify_folder(candidate)
        if damage is None:
            return candidate
        note(f"skipped the damaged checkpoint {candidate.name}: {damage}")
    return None


def rotate(folder: Path, *, keep: int, best_step: int | None) -> None:
    """Delete old checkpoints.

    The newest `keep` checkpoints stay, the one of `best_step`, and every one that contains a file named `pinned`.
    """
    checkpoints = sorted(folder.glob("step-*"))
    for checkpoint in checkpoints[:-keep]:
        if checkpoint.name != f"step-{best_step or 0:08d}" and not (checkpoint / PINNED).exists():
            files.remove(checkpoint)


def _collect_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Tensor]]:
    """Return the tensors to save, by file and name."""
    moments = {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }
    return {"weights.safetensors": _collect_weights(model), "optimizer.safetensors": moments}


def _collect_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return what training changes, by name: trainable parameters and persistent buffers."""
    trainable = {name: p.data for name, p in model.named_parameters() if p.requires_grad}
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    buffers = {name: value for name, value in model.state_dict().items() if name not in parameters}
    return {**trainable, **buffers}


def _exhaust(streams: Iterable[Iterator[bytes]]) -> None:
    """Run every stream to its end, so that this process takes part in gathering each tensor."""
    for stream in streams:
        for _ in stream:
            pass
