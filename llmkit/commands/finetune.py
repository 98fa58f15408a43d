"""Fine-tune or pretrain a model from a recipe, and write the run's report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit import tasks
from llmkit.base import processes
from llmkit.base.errors import RunError
from llmkit.base.progress import SILENT, Progress
from llmkit.base.run import RUNS, Run, find_runs, make_run_path
from llmkit.recipe import load, packaged
from llmkit.training import accelerate_settings, multi_seed
from llmkit.training.model import load_model
from llmkit.training.prepare import Prepared, prepare
from llmkit.training.run import check_same, run_training

if TYPE_CHECKING:
    from llmkit.recipe.packaged import Kind
    from llmkit.recipe.schema import Recipe

__all__ = ["finetune", "pretrain"]


def finetune(
    source: str,
    overrides: Sequence[str] = (),
    *,
    out: Path | None = None,
    resume: bool = False,
    dry_run: bool = False,
    progress: Progress = SILENT,
    command: Kind = "finetune",
) -> dict[str, Any]:
    """Train a model with a recipe, evaluate it and write a report.

    Args:
        source: Name of a packaged recipe, or path of a YAML file.
        overrides: Changes of recipe keys, as KEY=VALUE.
        out: The run folder; None makes a new one under runs/.
        resume: Continue from the newest checkpoint of the run folder, or of the newest run of the same recipe.
        dry_run: Check recipe and data and return the plan, without training.
        progress: Receives messages and progress.
        command: The command that runs the recipe; a packaged recipe of the other command is an error.

    Returns:
        The report's content; for a dry run the plan. With several `train.seeds` the run folder holds a run for each
        seed, and the report is about all of them. {} on processes other than the first.

    Raises:
        UserError: For errors in recipe, data or model, before training begins.
        Stopped: After a signal, once a checkpoint is saved (Interrupted for Ctrl-C).
    """
    packaged.check_kind(source, command)
    overrides = [*overrides, *accelerate_settings.overrides()]
    recipe = load.load(source, overrides, task_names=tasks.names(), task_options=tasks.options)
    multi_seed.check(recipe)
    name = Path(source).stem
    run = _choose_folder(recipe, name, out, resume, progress)
    if run.finished and resume:
        progress.note(f"{run.path} is already finished")
        return run.read_report()
    prepared = prepare(recipe, progress)
    if dry_run:
        return _plan(prepared)
    full_command = shlex.join(["llmkit", command, source, *overrides])
    seeds = recipe.train.seeds or []
    if len(seeds) > 1:
        shared = [text for text in overrides if text.partition("=")[0].strip() != "train.seeds"]
        commands = {
            seed: shlex.join(["llmkit", command, source, *shared, f"train.seeds=[{seed}]"]) for seed in seeds
        }
        return multi_seed.train_each(
            run, prepared, name=name, command=full_command, commands=commands, progress=progress
        )
    from llmkit.engine import session as sessions

    # Load the model before anything is written: a checkpoint that does not fit leaves no run folder.
    model = load_model(prepared, progress)
    with sessions.start(seed=recipe.training_seed, precision=recipe.train.precision) as session:
        run = Run(session.broadcast(run.path))
        return run_training(session, run, prepared, model, name=name, command=full_command, progress=progress)


def pretrain(source: str, overrides: Sequence[str] = (), **options: Any) -> dict[str, Any]:
    """Continue pretraining a model, or pretrain a new one; takes the arguments of `finetune`."""
    return finetune(source, overrides, command="pretrain", **options)


def _choose_folder(recipe: Recipe, name: str, out: Path | None, resume: bool, progress: Progress) -> Run:
    """Return the run folder to write: `out`, the run to resume, or a new one.

    Raises:
        RunError: R02 or R04 when the folder holds something else, M09 when it holds a run of another recipe.
    """
    if out is None and resume:
        text = load.dump(recipe)
        runs = [run for run in find_runs(RUNS / name) if run.recipe.read_text(encoding="utf-8") == text]
        if runs:
            return runs[-1]
    run = Run(out or make_run_path(name, load.compute_digest(recipe)))
    if not processes.is_main():
        return run  # the first process checks the folder; it may have begun to write already
    if run.path.is_file():
        raise RunError("R04", str(run.path), "is a file, not a folder", "choose another --out")
    if run.exists and not resume:
        raise RunError("R02", str(run.path), "already holds a run", "add --resume, or choose another --out")
    if run.exists:
        check_same(run, recipe, progress)
    elif resume:
        progress.note(f"nothing to resume: starting {run.path}")
    if run.path.is_dir() and not run.exists and any(p.name != ".lock" for p in run.path.iterdir()):
        raise RunError("R04", str(run.path), "is not empty and holds no run", "choose another --out")
    return run


def _plan(prepared: Prepared) -> dict[str, Any]:
    """Return the plan of a run. `parameters` is None for a base model, which a dry run does not load."""
    recipe, parameters = prepared.recipe, None
    if recipe.model.from_scratch is not None:
        from llmkit.models import scratch

        head = prepared.task.head(prepared.examples.labels).config
        parameters = scratch.count_parameters(prepared.config, prepared.task.spec.auto_class, head)
    counts = {split: encoded.counts for split, encoded in prepared.encoded.items()}
    return {
        "model": recipe.model.title,
        "parameters": parameters,
        "labels": list(prepared.examples.labels),
        "rows": {split: len(encoded) for split, encoded in prepared.encoded.items()},
        "tokens": {split: count.tokens for split, count in counts.items()},
        "cut_examples": {split: count.cut_examples for split, count in counts.items()},
        "unknown_tokens": {split: count.unknown_tokens for split, count in counts.items()},
        "schedule": asdict(prepared.schedule),
        "evaluate_every": prepared.evaluate_every,
        "checkpoint_every": prepared.checkpoint_every,
        "processes": processes.get_world_size(),
        "seeds": recipe.train.seeds or [recipe.seed],
        "mask": _loss_mask(prepared),
    }


def _loss_mask(prepared: Prepared) -> list[dict[str, Any]]:
    """Split the first training example into pieces that the loss covers or not; [] for tasks without target text."""
    from llmkit.data.encoding.collate import IGNORED

    columns = prepared.encoded["train"].ragged
    if "targets" not in columns:
        return []
    inputs, targets = columns["input_ids"][0].tolist(), columns["targets"][0].tolist()
    labels = columns["labels"][0].tolist() if "labels" in columns else [IGNORED] * len(inputs)
    learned = [label != IGNORED for label in labels] + [True] * len(targets)
    pieces = []
    for is_learned, group in groupby(zip([*inputs, *targets], learned, strict=True), key=itemgetter(1)):
        ids = [token for token, _ in group]
        pieces.append({"text": prepared.tokenizer.decode(ids), "learned": is_learned, "tokens": len(ids)})
    return pieces
