"""Train a recipe once per seed of `train.seeds`, report means and spread, and keep the best seed's model.

    runs/sentiment/20261122-141502-3f2a1b/
        seed-1/  seed-2/  seed-3/     complete runs; a stopped one is resumed, a finished one is kept
        model/  predictions/          copies from the seed with the best validation score
        scores.json  report.*         means over the seeds, their spread, and each seed's own scores

Data, splits, baselines and bootstraps depend on the recipe's `seed` alone, so they are the same for all seeds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.base import files
from llmkit.base.errors import ErrorDetail, RecipeError, RunError, Stopped, raise_if, shorten_list
from llmkit.base.progress import Progress
from llmkit.base.run import Run
from llmkit.metrics.score import Score
from llmkit.metrics.spread import Spread, summarize_seeds
from llmkit.report import page
from llmkit.report.report import BaselineComparison, Report, TrainingFigures
from llmkit.training.model import load_model
from llmkit.training.prepare import Prepared
from llmkit.training.run import begin, check_same, run_training

if TYPE_CHECKING:
    from llmkit.engine.session import Session
    from llmkit.recipe.schema import Recipe

__all__ = ["SeedReports", "check", "train_each"]

CHUNK = 1 << 20  # bytes
CORRELATIONS = ("mcc", "pearson", "spearman")  # between -1 and 1; no other score is negative


def check(recipe: Recipe) -> None:
    """Raise RecipeError C10 when a seed is given twice, because the mean would count it twice."""
    seeds = recipe.train.seeds or []
    errors = [
        ErrorDetail("C10", "train.seeds", f"gives {seed} twice", "give each seed once")
        for seed in dict.fromkeys(seeds)
        if seeds.count(seed) > 1
    ]
    raise_if(errors, RecipeError)


def train_each(
    run: Run,
    prepared: Prepared,
    *,
    name: str,
    command: str,
    commands: Mapping[int, str],
    progress: Progress,
) -> dict[str, Any]:
    """Train or resume seed by seed, and report on all of them.

    Args:
        run: The run folder, which holds a run folder for each seed.
        prepared: The prepared run; nothing in it depends on the training seed.
        name: The recipe's name.
        command: The command that trains all seeds.
        commands: By seed, the command that trains this seed alone.
        progress: Receives messages and progress.

    Returns:
        The content of the report about all seeds; {} on processes other than the first.

    Raises:
        Stopped: As for a run of one seed; the message names the seed. The other errors are those of such a run too.
    """
    from llmkit.engine import session as sessions  # imports torch

    recipe = prepared.recipe
    precision = recipe.train.precision
    with ExitStack() as open_sessions:  # the process group can be left only once, at the end
        session = open_sessions.enter_context(sessions.start(seed=recipe.seed, precision=precision))
        run = Run(session.broadcast(run.path))
        contents = _read_finished(session, run, prepared, progress)
        remaining = [seed for seed in commands if seed not in contents]
        # The first model is loaded before anything is written: a base model that does not fit leaves no run folder.
        loaded = [load_model(_for_seed(prepared, seed), progress) for seed in remaining[:1]]
        with run.writing() if session.rank == 0 else nullcontext():
            session.wait()
            begin(run, session, prepared, command)
            for seed in remaining:
                progress.note(f"seed {seed} ({list(commands).index(seed) + 1} of {len(commands)})")
                seed_session = open_sessions.enter_context(sessions.start(seed=seed, precision=precision))
                contents[seed] = _train_seed(
                    seed_session, run, _for_seed(prepared, seed), loaded, name, commands[seed], progress
                )
            content = {}
            if session.rank == 0:
                wording = prepared.task.spec.wording
                reports = {seed: Report.from_json(contents[seed], wording) for seed in commands}
                content = _finalize(run, SeedReports(prepared, reports), command, progress)
            session.wait()
    return content


def _for_seed(prepared: Prepared, seed: int) -> Prepared:
    """Return the prepared run for one seed; only the recipe differs."""
    train = prepared.recipe.train.model_copy(update={"seeds": [seed]})
    return replace(prepared, recipe=prepared.recipe.model_copy(update={"train": train}))


def _read_finished(session: Session, run: Run, prepared: Prepared, progress: Progress) -> dict[int, Any]:
    """Return the report contents of finished seeds. Raises RunError M09 where recipe or data differ."""
    contents: dict[int, Any] = {}
    runs = {seed: run.of_seed(seed) for seed in prepared.recipe.train.seeds or []}
    for seed in session.broadcast([seed for seed, seed_run in runs.items() if seed_run.exists]):
        check_same(runs[seed], _for_seed(prepared, seed).recipe)
    for seed in session.broadcast([seed for seed, seed_run in runs.items() if seed_run.finished]):
        contents[seed] = runs[seed].read_report()
        if contents[seed]["data"]["fingerprint"] != prepared.examples.corpus.fingerprint:
            message = "the data is not the data that this run was trained on (its fingerprint differs)"
            fix = "put the old files back, or start a new run with another --out"
            raise RunError("M09", str(runs[seed].path), message, fix)
        progress.note(f"{runs[seed].path} is already finished")
    return contents


def _train_seed(
    session: Session,
    run: Run,
    prepared: Prepared,
    loaded: list[Any],
    name: str,
    command: str,
    progress: Progress,
) -> dict[str, Any]:
    """Train one seed, with the model in `loaded` if there is one. The errors of a stopped run name the seed."""
    seed = prepared.recipe.training_seed
    try:
        return run_training(
            session,
            run.of_seed(seed),
            prepared,
            loaded.pop() if loaded else load_model(prepared, progress),
            name=name,
            command=command,
            progress=progress,
        )
    except Stopped as stop:
        reason = str(stop).partition(";")[0]
        details = json.loads(run.of_seed(seed).stopped.read_text(encoding="utf-8"))
        started_by = json.loads(run.environment.read_text(encoding="utf-8"))["command"]
        details |= {"seed": seed, "resume": f"{started_by} --out {run.path} --resume"}
        if session.rank == 0:
            files.write_json(run.stopped, details)
        raise type(stop)(f"seed {seed} {reason}; resume with: {details['resume']}") from None
    finally:
        session.accelerator.free_memory()  # otherwise it keeps model and optimizer until the last seed


def _finalize(run: Run, seeds: SeedReports, command: str, progress: Progress) -> dict[str, Any]:
    """Copy the best seed's model and predictions, and write the report about all seeds last."""
    best, reason = seeds.choose_best()
    source = run.of_seed(best)
    _copy(source.model, run.model)
    _copy(source.predictions("test").parent, run.predictions("test").parent)
    progress.note(f"model/ and predictions/ come from seed {best}, {reason}")
    report = replace(
        seeds.summarize(best, reason),
        run=str(run.path),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        environment=json.loads(run.environment.read_text(encoding="utf-8")),
        recipe=run.recipe.read_text(encoding="utf-8"),
        command=command,
    )
    content = report.to_json()
    figures = {key: content[key] for key in ("part", "scores", "seeds", "spread", "kept_seed")}
    files.write_json(run.path / "scores.json", figures)
    page.write(run.path, report)
    return content


def _copy(source: Path, target: Path) -> None:
    """Copy a folder completely or not at all."""
    with files.staged_folder(target) as staged:
        for path in sorted(source.rglob("*")):
            if path.is_file() and path.name != files.MANIFEST:
                with path.open("rb") as file:
                    chunks = iter(partial(file.read, CHUNK), b"")
                    files.write_chunks(staged / path.relative_to(source), chunks)


@dataclass(frozen=True)
class SeedReports:
    """The reports of all seeds of a run.

    Attributes:
        prepared: The prepared run; nothing in it depends on the training seed.
        reports: Report by seed, in the order of `train.seeds`.
    """

    prepared: Prepared
    reports: Mapping[int, Report]

    def choose_best(self) -> tuple[int, str]:
        """Return the seed with the best validation score, and the reason as a phrase.

        Test scores are not used: choosing by them would inflate the result.
        """
        name = self.prepared.recipe.evaluate.best
        values = {
            seed: evaluation.scores[name]
            for seed, report in self.reports.items()
            for evaluation in report.curves.evaluations
            if evaluation.step == report.curves.best_step
        }
        if len(values) < len(self.reports):
            return next(iter(self.reports)), "the first seed, because there is no validation set to choose by"
        choose = min if name in self.prepared.task.spec.lower_is_better else max
        best = choose(values, key=lambda seed: values[seed])
        return best, f"which had the best validation score ({name} {values[best]:.4f})"

    def summarize(self, best: int, reason: str) -> Report:
        """Return the best seed's report with the scores of all seeds in place of its own."""
        report, count = self.reports[best], len(self.reports)
        scores, spread = self.average_scores()
        metric = report.headline[0]
        verdict = (
            f"Over {count} seeds, mean {metric} is {scores[metric].value:.3f} (from {spread[metric].min:.3f} to "
            f"{spread[metric].max:.3f}, standard deviation {spread[metric].sd:.3f})."
        )
        baselines = zip(*(report.comparisons for report in self.reports.values()), strict=True)
        note = (
            f"The scores are means over {count} seeds ({shorten_list(self.reports, 20)}). Model, predictions, curves, "
            f"errors and details of the scores come from seed {best}, {reason}."
        )
        return replace(
            report,
            scores=scores,
            seeds={str(seed): seed_report.scores for seed, seed_report in self.reports.items()},
            spread=spread,
            kept_seed=best,
            comparisons=[
                replace(item, sentence=f"Seed {best}: {item.sentence}") for item in report.comparisons
            ],
            verdict=[verdict, *(_count_wins(comparisons) for comparisons in baselines)],
            notes=[note, *report.notes],
            train=self.sum_training(best),
        )

    def average_scores(self) -> tuple[dict[str, Score], dict[str, Spread]]:
        """Return the mean with its interval, and the spread, of every score that all seeds have."""
        confidence = self.prepared.recipe.evaluate.confidence
        first, *others = (report.scores for report in self.reports.values())
        means, spreads = {}, {}
        for name in first:
            if all(name in scores for scores in others):
                seed_scores = [first[name], *(scores[name] for scores in others)]
                values = [score.value for score in seed_scores]
                limits = _limits(name, values, lower=name in self.prepared.task.spec.lower_is_better)
                n = min(score.n for score in seed_scores)
                means[name], spreads[name] = summarize_seeds(
                    values, n=n, confidence=confidence, limits=limits
                )
        return means, spreads

    def sum_training(self, best: int) -> TrainingFigures | None:
        """Return the training figures of all seeds together; the best seed provides those that cannot be added."""
        each = [report.train for report in self.reports.values() if report.train]
        kept = self.reports[best].train
        if kept is None:
            return None
        seconds = sum(figures.seconds for figures in each)

        def average(rate: Callable[[TrainingFigures], float]) -> float:
            return sum(rate(figures) * figures.seconds for figures in each) / max(seconds, 1e-9)

        return replace(
            kept,
            seconds=seconds,
            evaluation_seconds=sum(figures.evaluation_seconds for figures in each),
            steps=sum(figures.steps for figures in each),
            examples_per_second=average(lambda figures: figures.examples_per_second),
            tokens_per_second=average(lambda figures: figures.tokens_per_second),
            peak_memory_bytes=max(figures.peak_memory_bytes for figures in each),
        )


def _limits(name: str, values: Sequence[float], *, lower: bool) -> tuple[float, float]:
    """Return the bounds of a score. A loss has no upper bound; nor has a score in percent, which exceeds 1."""
    return -1.0 if name in CORRELATIONS else 0.0, math.inf if lower or max(values) > 1 else 1.0


def _count_wins(comparisons: Sequence[BaselineComparison]) -> str:
    """Say in a sentence with how many seeds the model is better than one baseline.

    A seed is undecided where the interval of its difference covers zero or is missing.
    """
    better = worse = 0
    for difference in (comparison.difference for comparison in comparisons):
        low, high = difference.low, difference.high
        if low is not None and high is not None and not low <= 0 <= high:
            is_better = (low > 0) == difference.higher_is_better
            better, worse = better + is_better, worse + (not is_better)
    count = len(comparisons)
    often = f"all {count} seeds" if better == count else f"{better or 'none'} of {count} seeds"
    counts = {"worse": worse, "undecided": count - better - worse}
    others = [f"{word} with {number}" for word, number in counts.items() if number]
    return ", ".join([f"The model is better than {comparisons[0].title} with {often}", *others]) + "."
