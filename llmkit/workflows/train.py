"""Fine-tuning, from a recipe to a report, as one straight line."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit import environment, files, processes
from llmkit.errors import Problem, RecipeError, RunError, some
from llmkit.progress import SILENT, Progress
from llmkit.run import RUNS, Run, new_path, runs
from llmkit.workflows.prepare import Prepared, prepare

if TYPE_CHECKING:
    from llmkit.engine.session import Session
    from llmkit.recipe.catalog import Kind
    from llmkit.recipe.schema import Recipe

__all__ = ["begin", "check_same", "finetune", "load_model", "pretrain", "train_in"]

SAFE = ("train.max_hours", "checkpoint.every_steps", "checkpoint.keep")  # change no update


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
    from llmkit.recipe import catalog, load
    from llmkit.workflows import launched, seeds

    catalog.check_kind(source, command)
    overrides = [*overrides, *launched.overrides()]
    recipe = load.load(source, overrides, task_names=tasks.names(), task_options=tasks.options)
    seeds.check(recipe)
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
        return seeds.train_each(
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
        run = Run(session.from_main(run.path))
        return train_in(session, run, prepared, model, name=name, command=command, progress=progress)


def train_in(
    session: Session,
    run: Run,
    prepared: Prepared,
    model: Any,
    *,
    name: str,
    command: str,
    progress: Progress,
) -> dict[str, Any]:
    """One run of one seed, from its beginning or its newest checkpoint to its report; {} but on the first process."""
    from llmkit.workflows.fit import fit
    from llmkit.workflows.judge import judge

    with run.writing() if session.rank == 0 else nullcontext():
        session.wait()
        settings = begin(run, session, prepared, command)
        progress.note(
            f"run {run.path}: {settings['device']}, {settings['precision']}, {session.world_size} process(es) of "
            f"{settings['threads']} thread(s){_sharded(session, prepared)}, {prepared.schedule.total_steps} steps"
        )
        fitted = fit(session, run, prepared, model, progress)
        content = judge(session, run, prepared, fitted, name=name, command=command, progress=progress)
        session.wait()
    return content


def _sharded(session: Session, prepared: Prepared) -> str:
    if not prepared.recipe.train.shard:
        return ""
    return " that share the model" if session.world_size > 1 else " (nothing to shard)"


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
        raise RunError(Problem("R04", str(run.path), "is a file, not a folder", "choose another --out"))
    if run.exists and not resume:
        raise RunError(
            Problem("R02", str(run.path), "holds a run already", "add --resume, or choose another --out")
        )
    if run.exists:
        check_same(run, recipe, progress)
    elif resume:
        progress.note(f"nothing to resume: starting {run.path}")
    if run.path.is_dir() and not run.exists and any(p.name != ".lock" for p in run.path.iterdir()):
        raise RunError(Problem("R04", str(run.path), "is not empty and holds no run", "choose another --out"))
    return run


def check_same(run: Run, recipe: Recipe, progress: Progress = SILENT) -> None:
    """A run resumes only under the recipe that it began with, but for how long and how often it saves.

    Raises RunError M09 with the keys that differ.
    """
    from llmkit import tasks
    from llmkit.recipe import load

    began = load.load(str(run.recipe), task_names=tasks.names(), task_options=tasks.options)
    changed = load.differences(began, recipe)
    changes = [key for key in changed if key not in SAFE]
    if changes:
        raise RunError(
            Problem(
                "M09",
                str(run.path),
                f"was begun with another recipe; {some(changes, 10)} differ",
                f"resume with the same settings, e.g. `llmkit finetune {run.recipe} --out {run.path} --resume`",
            )
        )
    if changed:
        progress.note(f"resuming with another {some(changed)}, which changes no result")


def _recipe_text(run: Run) -> str:
    return run.recipe.read_text(encoding="utf-8")


def begin(run: Run, session: Session, prepared: Prepared, command: str) -> dict[str, Any]:
    """Write what the run is, before its first step; returns the environment."""
    from llmkit.recipe import load

    settings = {
        **environment.versions(),
        "device": str(session.device.type),
        "precision": session.precision,
        "threads": environment.threads(),
        "world_size": session.world_size,
        "command": command,
    }
    if session.rank == 0:
        if not run.exists:
            files.write_text(run.recipe, load.dump(prepared.recipe))
        files.write_json(run.environment, settings)
        files.remove(run.stopped)
        files.truncate(run.log, run.log.stat().st_size if run.log.exists() else 0)  # so that it exists
    session.wait()
    return settings


def load_model(prepared: Prepared, progress: Progress) -> Any:
    """The checkpoint (or the new weights) under the task's head, with adapters if the recipe asks for them."""
    from llmkit.models import load, scratch

    recipe, task = prepared.recipe, prepared.task
    head = task.config(prepared.examples.labels)
    bias = task.bias(prepared.examples.golds["train"])
    if recipe.model.from_scratch:
        seed = recipe.training_seed
        model = scratch.model(prepared.config, task.auto_class, head, seed=seed, bias=bias)
        _check_checkpointing(recipe, model)
        return model
    progress.note(f"loading {recipe.model.name}")
    model = load.pretrained(
        prepared.base,
        task.auto_class,
        head,
        new_head=recipe.model.new_head,
        seed=recipe.training_seed,
        tokenizer=prepared.tokenizer,
        bias=bias,
    )
    _check_checkpointing(recipe, model)
    if recipe.model.lora is None:
        return model
    from llmkit.models import lora  # peft takes a while to import

    new = prepared.tokenizer.convert_tokens_to_ids(list(task.special_tokens))
    return lora.add(model, recipe.model.lora, seed=recipe.training_seed, new_tokens=new)


def _check_checkpointing(recipe: Recipe, model: Any) -> None:
    """Raises RecipeError C10 where the recipe asks an architecture (lstm) for what it has not."""
    if recipe.train.gradient_checkpointing and not model.supports_gradient_checkpointing:
        message = f"{model.config.model_type} can't compute its activations twice"
        raise RecipeError(
            Problem("C10", "train.gradient_checkpointing", message, "remove train.gradient_checkpointing")
        )


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
    from llmkit.data.collate import IGNORED

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
    head = prepared.task.config(prepared.examples.labels)
    return scratch.count(prepared.config, prepared.task.auto_class, head)


def _command(command: str, source: str, overrides: Sequence[str]) -> str:
    import shlex

    return shlex.join(["llmkit", command, source, *overrides])


def _of_seed(overrides: Sequence[str], seed: int) -> list[str]:
    """The overrides of the run of one seed alone."""
    others = [text for text in overrides if text.partition("=")[0].strip() != "train.seeds"]
    return [*others, f"train.seeds=[{seed}]"]
