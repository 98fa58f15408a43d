"""Save a run so that it can be resumed exactly, and resume it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from llmkit.base import environment, files
from llmkit.base.errors import Interrupted, RunError, Stopped, StorageError, shorten_list
from llmkit.engine import checkpoint, sharding
from llmkit.engine.checkpoint import State
from llmkit.training.training_run import TrainingRun

__all__ = ["resume", "save_checkpoint", "stop"]


def resume(training: TrainingRun) -> None:
    """Load weights, optimizer and state of the newest checkpoint that verifies. Without one, start at step 0.

    The log is truncated to the length it had at that checkpoint. A note reports when software, processor, threads or
    processes differ from those of the checkpoint: results are then equal up to rounding only.

    Raises:
        RunError: M09, when the data differs from the data that the run was trained on.
    """
    session, folder, progress = training.session, training.folder, training.progress
    newest = session.broadcast(
        checkpoint.find_newest(folder.checkpoints, progress.note) if training.is_main else None
    )
    if newest is None:
        if training.is_main and folder.log.exists():
            files.truncate_file(folder.log, 0)
        return
    state = checkpoint.load(newest, training.placed.model, training.optimizer)
    now, then = _get_identity(training), state.identity
    if now["data"] != then["data"]:
        raise RunError(
            "M09",
            str(folder.path),
            "the data is not the data that this run was trained on (its fingerprint differs)",
            "put the old files back, or start a new run with another --out",
        )
    changes = [f"{key} {then[key]} -> {now[key]}" for key in now if now[key] != then[key]]
    if changes:
        progress.note(
            f"resumed with {shorten_list(changes)}: same examples and steps, results equal up to rounding, "
            "not bit for bit"
        )
    if training.is_main:
        files.truncate_file(folder.log, state.log_bytes)
    session.wait()
    progress.note(f"resumed {folder.path} at step {state.step} of {training.prepared.schedule.total_steps}")
    training.state = state


def save_checkpoint(training: TrainingRun, before: State) -> None:
    """Write a checkpoint of the current step, then delete the oldest ones.

    A storage error does not end the run: it is reported, and the best checkpoint stays the one saved before.

    Args:
        training: The run; all processes call this together, since a sharded model is written by all of them.
        before: The state before this step, whose best score stays valid when the checkpoint cannot be written.
    """
    model, state = training.placed.model, training.state
    error = None
    if training.is_main:
        try:
            saved = replace(
                state,
                saved_step=state.step,  # a resumed run reads it from the checkpoint
                log_bytes=training.folder.log.stat().st_size,
                identity=_get_identity(training),
            )
            checkpoint.save(training.folder.checkpoints, model, training.optimizer, saved)
            keep = training.prepared.recipe.checkpoint.keep
            checkpoint.rotate(training.folder.checkpoints, keep=keep, best_step=state.best_step)
        except StorageError as storage_error:
            error = str(storage_error)
    elif sharding.is_sharded(model):
        checkpoint.join_save(model, training.optimizer)
    error = training.session.broadcast(error)
    if error is None:
        training.state = replace(state, saved_step=state.step)
        return
    training.progress.note(
        f"Warning: could not save the checkpoint at step {state.step} ({error}). Training continues."
    )
    training.state = replace(state, best_value=before.best_value, best_step=before.best_step)
    if state.best_step != before.best_step:
        training.best_predictions = None  # the weights behind them were not saved


def stop(training: TrainingRun, reason: str) -> Stopped | StorageError:
    """Return the error that ends a stopped run, and write a file from which a scheduler can resume it.

    Args:
        training: The run, after its checkpoint was written (or could not be written).
        reason: "Ctrl-C", "a signal" or "train.max_hours".
    """
    state, total, folder = training.state, training.prepared.schedule.total_steps, training.folder
    if state.saved_step != state.step:
        message = (
            f"stopped by {reason} at step {state.step} of {total}, not saved (the newest checkpoint is older)"
        )
        return StorageError("W01", str(folder.checkpoints), message, "free some space, then --resume")
    started_by = json.loads(folder.environment.read_text(encoding="utf-8"))["command"]
    command = f"{started_by} --out {folder.path} --resume"
    if training.is_main:
        details = {"step": state.step, "total_steps": total, "why": reason, "resume": command}
        files.write_json(folder.stopped, details)
    kind = Interrupted if reason == "Ctrl-C" else Stopped
    return kind(f"stopped by {reason} at step {state.step} of {total}, saved; resume with: {command}")


def _get_identity(training: TrainingRun) -> dict[str, Any]:
    """Return what an exact resume depends on: software, processor, threads, processes and data."""
    versions = environment.read_versions()
    return {
        **{name: versions[name] for name in ("torch", "transformers", "processor")},
        "data": training.prepared.examples.corpus.fingerprint,
        "threads": environment.count_threads(),
        "world_size": training.session.world_size,
    }
