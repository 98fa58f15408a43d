"""Fine-tuning, from a recipe to a report, as one straight line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit import environment, files, processes
from llmkit.errors import Problem, RunError, some
from llmkit.progress import SILENT, Progress
from llmkit.run import RUNS, Run, new_path, runs
from llmkit.workflows.prepare import Prepared, prepare

if TYPE_CHECKING:
    from llmkit.engine.session import Session
    from llmkit.recipe.schema import Recipe

__all__ = ["finetune"]


def finetune(
    source: str,
    overrides: Sequence[str] = (),
    *,
    out: Path | None = None,
    resume: bool = False,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Train as the recipe says; returns the report's content (or the plan, for a dry run).

    source is a packaged recipe's name or a YAML path, overrides are `KEY=VALUE`, out is the run folder. Raises
    UserError for any mistake of recipe or data before training begins, Stopped (or Interrupted) after a save.
    """
    from llmkit import tasks
    from llmkit.recipe import load

    recipe = load.load(source, overrides, task_names=tasks.names(), task_options=tasks.options)
    name = Path(source).stem
    run = _choose(recipe, name, out, resume, progress)
    if run.finished and resume:
        progress.note(f"{run.path} is finished already")
        return run.read_report()
    prepared = prepare(recipe, progress)
    if dry_run:
        return _plan(prepared)
    return _work(run, name, _command(source, overrides), prepared, progress)


def _work(run: Run, name: str, command: str, prepared: Prepared, progress: Progress) -> dict[str, Any]:
    from llmkit.engine import session as sessions
    from llmkit.workflows.fit import fit
    from llmkit.workflows.judge import judge

    recipe = prepared.recipe
    model = _model(
        prepared, progress
    )  # before anything is written: a checkpoint that does not fit leaves no run
    with sessions.start(seed=recipe.seed, precision=recipe.train.precision) as session:
        run = Run(session.from_main(run.path))
        with run.writing() if session.rank == 0 else _nothing():
            session.wait()
            settings = _begin(run, session, prepared, command)
            progress.note(
                f"run {run.path}: {settings['device']}, {settings['precision']}, {session.world_size} process(es) of "
                f"{settings['threads']} thread(s), {prepared.schedule.total_steps} steps"
            )
            fitted = fit(session, run, prepared, model, progress)
            content = judge(session, run, prepared, fitted, name=name, command=command, progress=progress)
            session.wait()
    return content


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
        _check_same(run, recipe)
    elif resume:
        progress.note(f"nothing to resume: starting {run.path}")
    if run.path.is_dir() and not run.exists and any(p.name != ".lock" for p in run.path.iterdir()):
        raise RunError(Problem("R04", str(run.path), "is not empty and holds no run", "choose another --out"))
    return run


def _check_same(run: Run, recipe: Recipe) -> None:
    """A run resumes only under the recipe that it began with. Raises RunError M09 with the keys that differ."""
    from llmkit import tasks
    from llmkit.recipe import load

    began = load.load(str(run.recipe), task_names=tasks.names(), task_options=tasks.options)
    changed = load.differences(began, recipe)
    if changed:
        raise RunError(
            Problem(
                "M09",
                str(run.path),
                f"was begun with another recipe; {some(changed, 10)} differ",
                f"resume with the same settings, e.g. `llmkit finetune {run.recipe} --out {run.path} --resume`",
            )
        )


def _recipe_text(run: Run) -> str:
    return run.recipe.read_text(encoding="utf-8")


def _begin(run: Run, session: Session, prepared: Prepared, command: str) -> dict[str, Any]:
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
        files.truncate(run.log, run.log.stat().st_size if run.log.exists() else 0)  # so that it exists
    session.wait()
    return settings


def _model(prepared: Prepared, progress: Progress) -> Any:
    """The checkpoint under the task's head, with adapters if the recipe asks for them."""
    from llmkit.models import load, lora

    recipe = prepared.recipe
    progress.note(f"loading {recipe.model.name}")
    model = load.pretrained(
        prepared.base,
        prepared.task.auto_class,
        labels=prepared.examples.labels,
        new_head=recipe.model.new_head,
        seed=recipe.seed,
        pad_token_id=prepared.tokenizer.pad_token_id,
    )
    return lora.add(model, recipe.model.lora, seed=recipe.seed) if recipe.model.lora else model


def _plan(prepared: Prepared) -> dict[str, Any]:
    """What a run would do, without doing it."""
    return {
        "model": prepared.recipe.model.name,
        "labels": list(prepared.examples.labels),
        "rows": {part: len(encoded) for part, encoded in prepared.encoded.items()},
        "tokens": {part: encoded.counts.tokens for part, encoded in prepared.encoded.items()},
        "cut_examples": {part: encoded.counts.cut_examples for part, encoded in prepared.encoded.items()},
        "unknown_tokens": {part: encoded.counts.unknown_tokens for part, encoded in prepared.encoded.items()},
        "schedule": asdict(prepared.schedule),
        "evaluate_every": prepared.evaluate_every,
        "checkpoint_every": prepared.checkpoint_every,
        "processes": processes.world_size(),
    }


def _command(source: str, overrides: Sequence[str]) -> str:
    import shlex

    return shlex.join(["llmkit", "finetune", source, *overrides])


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()
