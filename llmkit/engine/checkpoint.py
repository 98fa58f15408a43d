"""Checkpoints: all that a resume needs, in one verified folder, without pickle.

    checkpoints/step-00000504/   weights.safetensors    trainable parameters and buffers, by name
                                 optimizer.safetensors  AdamW's moments and step, as NAME/exp_avg, ...
                                 state.json             where the run stands (State)
                                 manifest.json          size and SHA-256 of the others, written last

Order, dropout and learning rate are functions of (seed, step), so no generator, sampler or schedule state exists.
That of a sharded model is the same, written by the first process as the others hand it their rows (`join`).
Folders are published by rename after all bytes are on the disk; reading takes the newest that verifies.
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
    """Where a run stands after `step` updates."""

    step: int = 0
    best_value: float | None = None
    best_step: int | None = None
    misses: int = 0  # evaluations in a row without a better value
    saved_step: int | None = None  # of the newest checkpoint
    log_bytes: int = 0
    seconds: float = 0.0  # spent in updates
    evaluation_seconds: float = 0.0
    examples: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    micro_batch_tokens: int | None = None  # the budget in use; None: as the recipe has it
    identity: dict[str, Any] = field(
        default_factory=dict
    )  # recipe digest, data fingerprint, threads, world size


def save(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: State) -> Path:
    """Write the checkpoint of this step into the folder `checkpoints`. Of a sharded model the others call `join`.

    Raises StorageError, with nothing written where the disk has not enough room from the beginning.
    """
    target = folder / f"step-{state.step:08d}"
    parts = _parts(model, optimizer)
    streams = {name: serialize(tensors) for name, tensors in parts.items()}
    try:
        files.check_space(target, sum(tensor.nbytes for part in parts.values() for tensor in part.values()))
        with files.staged_folder(target) as staged:
            for name, stream in streams.items():
                files.write_pieces(staged / name, stream)
            files.write_json(staged / "state.json", asdict(state))
    finally:
        _exhaust(streams.values())  # also where writing failed: the others wait at each tensor
    return target


def join_save(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """What the other processes do while the first one saves a sharded model."""
    _exhaust(map(serialize, _parts(model, optimizer).values()))


def load(checkpoint: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None) -> State:
    """Put weights (and moments, if an optimizer is given) back; returns where the run stood."""
    state = load_state(checkpoint)
    weights = _weights(model)
    with open_file(checkpoint / "weights.safetensors") as saved:
        assert set(saved.keys()) == weights.keys(), "the checkpoint is of another model"
        for name, value in weights.items():
            copy_saved(value, saved, name)
    if optimizer is not None:
        with open_file(checkpoint / "optimizer.safetensors") as saved:
            _restore_moments(model, optimizer, saved)
    return state


def load_state(checkpoint: Path) -> State:
    return State(**json.loads((checkpoint / "state.json").read_text(encoding="utf-8")))


def find_newest(folder: Path, note: Callable[[str], None]) -> Path | None:
    """The newest checkpoint whose every byte is right; a damaged one is named and passed over."""
    for candidate in sorted(folder.glob("step-*"), reverse=True):
        fault = files.verify(candidate)
        if fault is None:
            return candidate
        note(f"checkpoint {candidate.name} passed over: {fault}")
    return None


def rotate(folder: Path, *, keep: int, best_step: int | None) -> None:
    """Delete all but the newest `keep` checkpoints, the best one, and those that hold a file named `pinned`."""
    checkpoints = sorted(folder.glob("step-*"))
    for checkpoint in checkpoints[:-keep]:
        if checkpoint.name != f"step-{best_step or 0:08d}" and not (checkpoint / PINNED).exists():
            files.remove(checkpoint)


def _parts(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Tensor]]:
    """Tensors by name, by file."""
    return {
        "weights.safetensors": _weights(model),
        "optimizer.safetensors": _moments(model, optimizer),
    }


def _exhaust(streams: Iterable[Iterator[bytes]]) -> None:
    for stream in streams:
        for _ in stream:
            pass


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """Trainable parameters and persistent buffers by name: what training changes."""
    trainable = {name: p.data for name, p in model.named_parameters() if p.requires_grad}
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    buffers = {name: value for name, value in model.state_dict().items() if name not in parameters}
    return {**trainable, **buffers}


def _moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _restore_moments(model: nn.Module, optimizer: torch.optim.Optimizer, saved: Any) -> None:
    parameters = dict(model.named_parameters())
    for key in saved.keys():  # noqa: SIM118  # it is no dictionary
        name, _, kind = key.rpartition("/")
        parameter = parameters[name]
        # fused AdamW keeps `step`, one number, on the parameter's device like the moments
        moment = (
            torch.empty((), device=parameter.device)
            if kind == "step"
            else torch.empty_like(parameter, requires_grad=False)
        )
        copy_saved(moment, saved, key)
        optimizer.state[parameter][kind] = moment
