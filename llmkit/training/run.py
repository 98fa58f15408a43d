"""Run the training of one seed, from the files of the run folder to the report."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from llmkit import tasks
from llmkit.base import environment, files
from llmkit.base.errors import RunError, shorten_list
from llmkit.base.progress import SILENT, Progress
from llmkit.base.run import Run
from llmkit.recipe import load
from llmkit.training.prepare import Prepared
from llmkit.training.training_run import TrainingRun

if TYPE_CHECKING:
    from torch import nn

    from llmkit.engine.session import Session
    from llmkit.recipe.schema import Recipe

__all__ = ["begin", "check_same", "run_training"]

HARMLESS = ("train.max_hours", "checkpoint.every_steps", "checkpoint.keep")  # keys that change no result


def run_training(
    session: Session,
    folder: Run,
    prepared: Prepared,
    model: nn.Module,
    *,
    name: str,
    command: str,
    progress: Progress,
) -> dict[str, Any]:
    """Train one seed, from the beginning or from the newest checkpoint, and finalize the run.

    Returns:
        The report's content on the main process, {} on the others.
    """
    from llmkit.training.finalize import finalize  # these two import torch
    from llmkit.training.loop import train

    with folder.writing() if session.rank == 0 else nullcontext():
        session.wait()
        settings = begin(folder, session, prepared, command)
        sharding = ""
        if prepared.recipe.train.shard:
            sharding = " that share the model" if session.world_size > 1 else " (nothing to shard)"
        progress.note(
            f"run {folder.path}: {settings['device']}, {settings['precision']}, {session.world_size} process(es) of "
            f"{settings['threads']} thread(s){sharding}, {prepared.schedule.total_steps} steps"
        )
        training = TrainingRun.start(session, folder, prepared, model, progress, name=name, command=command)
        content = finalize(training, train(training))
        session.wait()
    return content


def check_same(run: Run, recipe: Recipe, progress: Progress = SILENT) -> None:
    """Check that a run is resumed with the recipe that started it. Keys that change no result may differ.

    Raises:
        RunError: M09, with the keys that differ.
    """
    original = load.load(str(run.recipe), task_names=tasks.names(), task_options=tasks.options)
    changed = load.list_differences(original, recipe)
    conflicts = [key for key in changed if key not in HARMLESS]
    if conflicts:
        raise RunError(
            "M09",
            str(run.path),
            f"was started with another recipe; {shorten_list(conflicts, 10)} differ",
            f"resume with the same settings, e.g. `llmkit finetune {run.recipe} --out {run.path} --resume`",
        )
    if changed:
        progress.note(f"resuming with a different {shorten_list(changed)}, which changes no result")


def begin(run: Run, session: Session, prepared: Prepared, command: str) -> dict[str, Any]:
    """Write the recipe and the environment of a run before its first step.

    Returns:
        The environment: versions, device, precision, threads, processes and command.
    """
    settings = {
        **environment.read_versions(),
        "device": str(session.device.type),
        "precision": session.precision,
        "threads": environment.count_threads(),
        "world_size": session.world_size,
        "command": command,
    }
    if session.rank == 0:
        if not run.exists:
            files.write_text(run.recipe, load.dump(prepared.recipe))
        files.write_json(run.environment, settings)
        files.remove(run.stopped)
        if not run.log.exists():
            files.truncate_file(run.log, 0)  # creates an empty log
    session.wait()
    return settings
