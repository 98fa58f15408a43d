"""Fine-tuning, from a recipe to a report, as one straight line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.base import processes
from llmkit.base.errors import RunError
from llmkit.base.progress import SILENT, Progress
from llmkit.base.run import RUNS, Run, new_path, runs
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
    """Train as the recipe says; returns the report's content (or the plan, for a dry run).

    With several `train.seeds` the run holds a run for each of them. source is a packaged recipe's name or a YAML
    path, overrides are `KEY=VALUE`, out is the run folder, command the one that runs such recipes. Raises UserError
    for any mistake of recipe or data before training begins, Stopped (or Interrupted) after a save.
    """
    from llmkit import tasks
    from llmkit.recipe import load, packaged
    from llmkit.training import accelerate_settings, multi_seed

    packaged.check_kind(source, command)
    overrides = [*overrides, *accelerate_settings.overrides()]
    recipe = load.load(source, overrides, task_names=tasks.names(), task_options=tasks.options)
    multi_seed.check(recipe)
    name = Path(source).stem
    run = _choose(recipe, name, out, resume, progress)
    if run.finished and resume:
        progress.note(f"{run.path} is finished already")
        return run.read_report()
    prepared = prepare(recipe, progress)
    if dry_run:
        return _plan(prepared)
    if len(recipe.train.seeds or []) > 1:
        commands = {
            seed: _command(command, source, _of_seed(overrides, seed)) for seed in recipe.train.seeds or []
        }
        return multi_seed.train_each(
            run,
            prepared,
            name=name,
            command=_command(command, source, overrides),
            commands=commands,
            progress=progress,
        )
    return _work(run, name, _command(command, source, overrides), prepared, progress)


def pretrain(source: str, overrides: Sequence[str] = (), **how: Any) -> dict[str, Any]:
    """As `finetune`, for the packaged recipes that go on with a checkpoint's pretraining."""
    return finetune(source, overrides, command="pretrain", **how)


def _work(run: Run, name: str, command: str, prepared: Prepared, progress: Progress) -> dict[str, Any]:
    from llmkit.engine import session as sessions

    recipe = prepared.recipe
    model = load_model(
        prepared, progress
    )  # before anything is written: a checkpoint that does not fit leaves no run
    with sessions.start(seed=recipe.training_seed, precision=recipe.train.precision) as session:
        run = Run(session.broadcast(run.path))
        return run_training(session, run, prepared, model, name=name, command=command, progress=progress)


def _choose(recipe: Recipe, name: str, out: Path | None, resume: bool, progress: Progress) -> Run:
    """The folder to write: the one asked for, the run to go on with, or a new one."""
    from llmkit.recipe import load

    if out is None and resume:
        same = [run for run in runs(RUNS / name) if _recipe_text(run) == load.dump(recipe)]
        if same:
            return same[-1]
    run = Run(out or new_path(name, load.digest(recipe)))
    if not processes.is_main():
        return run  # the first process decides; it may have begun to write already
    if run.path.is_file():
        raise RunError("R04", str(run.path), "is a file, not a folder", "choose another --out")
    if run.exists and not resume:
        raise RunError("R02", str(run.path), "holds a run already", "add --resume, or choose another --out")
    if run.exists:
        check_same(run, recipe, progress)
    elif resume:
        progress.note(f"nothing to resume: starting {run.path}")
    if run.path.is_dir() and not run.exists and any(p.name != ".lock" for p in run.path.iterdir()):
        raise RunError("R04", str(run.path), "is not empty and holds no run", "choose another --out")
    return run


def _recipe_text(run: Run) -> str:
    return run.recipe.read_text(encoding="utf-8")


def _plan(prepared: Prepared) -> dict[str, Any]:
    """What a run would do, without doing it. parameters: of a new model; null for a checkpoint, which isn't loaded."""
    return {
        "model": prepared.recipe.model.title,
        "parameters": _parameters(prepared),
        "labels": list(prepared.examples.labels),
        "rows": {part: len(encoded) for part, encoded in prepared.encoded.items()},
        "tokens": {part: encoded.counts.tokens for part, encoded in prepared.encoded.items()},
        "cut_examples": {part: encoded.counts.cut_examples for part, encoded in prepared.encoded.items()},
        "unknown_tokens": {part: encoded.counts.unknown_tokens for part, encoded in prepared.encoded.items()},
        "schedule": asdict(prepared.schedule),
        "evaluate_every": prepared.evaluate_every,
        "checkpoint_every": prepared.checkpoint_every,
        "processes": processes.world_size(),
        "seeds": prepared.recipe.train.seeds or [prepared.recipe.seed],
        "mask": _mask(prepared),
    }


def _mask(prepared: Prepared) -> list[dict[str, Any]]:
    """The first training example in pieces, each with whether it is learned; [] for tasks that write no text."""
    from llmkit.data.encoding.collate import IGNORED

    columns = prepared.encoded["train"].ragged
    if "targets" not in columns:
        return []
    read, targets = columns["input_ids"][0].tolist(), columns["targets"][0].tolist()
    labels = columns["labels"][0].tolist() if "labels" in columns else [IGNORED] * len(read)
    learned = [label != IGNORED for label in labels] + [True] * len(targets)
    pieces = groupby(zip([*read, *targets], learned, strict=True), key=itemgetter(1))
    return [
        {"text": prepared.tokenizer.decode(ids), "learned": own, "tokens": len(ids)}
        for own, ids in ((own, [token for token, _ in piece]) for own, piece in pieces)
    ]


def _parameters(prepared: Prepared) -> int | None:
    from llmkit.models import scratch

    if prepared.recipe.model.from_scratch is None:
        return None
    head = prepared.task.head(prepared.examples.labels).config
    return scratch.count_parameters(prepared.config, prepared.task.spec.auto_class, head)


def _command(command: str, source: str, overrides: Sequence[str]) -> str:
    import shlex

    return shlex.join(["llmkit", command, source, *overrides])


def _of_seed(overrides: Sequence[str], seed: int) -> list[str]:
    """The overrides of the run of one seed alone."""
    others = [text for text in overrides if text.partition("=")[0].strip() != "train.seeds"]
    return [*others, f"train.seeds=[{seed}]"]
