"""Score a run or a model: on its own test rows, or on new data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.errors import Problem, RecipeError, RunError
from llmkit.progress import SILENT, Progress
from llmkit.recipe.schema import Data, Evaluate
from llmkit.run import Run
from llmkit.workflows.opened import Opened, open_model

if TYPE_CHECKING:
    from llmkit.data.encode import Encoded
    from llmkit.tasks._task import Arrays, Examples

__all__ = ["evaluate"]


def evaluate(
    target: str,
    *,
    data: str | None = None,
    columns: dict[str, str] | None = None,
    metrics: Sequence[str] = (),
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Scores with intervals. target: a run folder, a model folder, a Hub id, or index:NAME.

    Without data a run is scored again on its own test rows. Raises UserError for anything the user can mend.
    """
    from llmkit.engine import session as sessions

    opened = open_model(target, progress)
    examples, part = _examples(opened, data, columns or {}, progress)
    for note in (*examples.corpus.notes, *examples.notes):
        progress.note(note)
    settings = opened.recipe.evaluate if opened.recipe else Evaluate()
    settings = settings.model_copy(update={"metrics": list(metrics)}) if metrics else settings
    seed = opened.recipe.seed if opened.recipe else 1
    _check_metrics(opened, settings)
    encoded = _encode(opened, examples, part, progress)
    with sessions.start(seed=seed, precision=opened.train.precision) as session:
        model = opened.model.to(session.device)
        outputs = _predict(session, opened, model, encoded, examples.golds[part], progress)
    sheet = opened.task.score(examples.golds[part], outputs, opened.labels, evaluate=settings, seed=seed)
    counts = encoded.counts
    return {
        "run" if opened.recipe else "model": target,
        "data": data or part,
        "part": part,
        "scores": {name: score.to_json() for name, score in sheet.scores.items()},
        "headline": list(sheet.headline),
        **sheet.details,
        "cut_examples": counts.cut_examples,
        "unknown_tokens_share": counts.unknown_tokens / max(1, counts.tokens),
    }


def _examples(
    opened: Opened, data: str | None, columns: dict[str, str], progress: Progress
) -> tuple[Examples, str]:
    """The rows to score, checked against the model's labels."""
    from llmkit.workflows.prepare import read_rows

    if data is not None:
        kept = opened.recipe.data if opened.recipe else Data()
        changes = {"train": None, "validation": None, "test": data, "columns": {**opened.columns, **columns}}
        source = kept.model_copy(update=changes)
        corpus = read_rows(source, opened.task, progress)
        return opened.task.check(corpus, source, 0, labels=opened.labels), "test"
    if opened.recipe is None:
        raise RunError(
            Problem("R06", opened.name, "is a model, not a run, so it has no test rows", "add --data FILE")
        )
    recipe = opened.recipe
    examples = opened.task.check(read_rows(recipe.data, opened.task, progress), recipe.data, recipe.seed)
    _check_same_rows(opened, examples)
    return examples, "test" if "test" in examples.corpus.parts else "validation"


def _check_same_rows(opened: Opened, examples: Examples) -> None:
    """On other rows the split differs, so test rows could be rows that it learned from. Raises RunError M09."""
    run = Run.open(Path(opened.name))
    if not run.finished:
        raise RunError(Problem("R05", opened.name, "is not finished", "go on with --resume"))
    if run.read_report()["data"]["fingerprint"] != examples.corpus.fingerprint:
        problem = Problem(
            "M09",
            opened.name,
            "the data is not what this run was trained on (its fingerprint differs)",
            "put the old files back, or name the rows to score with --data",
        )
        raise RunError(problem)


def _check_metrics(opened: Opened, settings: Evaluate) -> None:
    from llmkit.workflows.prepare import unknown_metrics

    problems = unknown_metrics(opened.task, {"--metric": settings.metrics})
    if problems:
        raise RecipeError(problems)


def _encode(opened: Opened, examples: Examples, part: str, progress: Progress) -> Encoded:
    from llmkit.data import encode

    rows = examples.corpus.parts[part]
    return encode.encode(
        rows.rows,
        lambda some: opened.task.encode(
            some, opened.tokenizer, max_length=opened.train.max_length, truncation=True
        ),
        place=rows.place,
        max_length=opened.train.max_length,
        progress=progress,
        what=part,
    )


def _predict(
    session: Any, opened: Opened, model: Any, encoded: Encoded, golds: Arrays, progress: Progress
) -> Arrays:
    from llmkit.engine.predict import predict
    from llmkit.workflows.fit import make_batches

    batches = make_batches(session, encoded, golds, opened.tokenizer, opened.train)
    return predict(
        session,
        model,
        batches,
        opened.task.decode,
        done=lambda done, total: progress.advance("predicting", done, total, "rows"),
    )
