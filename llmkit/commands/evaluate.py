"""Score a run or a model: on its own test rows, on new data, or over several corpora beside its own test rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.base.errors import DataError, ErrorDetail, RecipeError, RunError, raise_if, shorten_list
from llmkit.base.progress import SILENT, Progress
from llmkit.base.run import Run
from llmkit.inference import slices as by_slices
from llmkit.inference.trained_model import Opened, in_int8, open_model
from llmkit.metrics import independent
from llmkit.metrics.intervals import format_percent
from llmkit.metrics.score import Score
from llmkit.recipe.schema import Data, Evaluate

if TYPE_CHECKING:
    from llmkit.data.encoding.features import Encoded
    from llmkit.engine.session import Session
    from llmkit.tasks.protocol import Arrays, Examples

__all__ = ["evaluate"]

OF_CORPUS = ("scores", "headline", "unknown_tokens_share", "cut_examples", "slices", "int8")
LABEL_CODES = ("L05", "L06")  # a label that the model does not have


@dataclass(frozen=True)
class _Ready:
    """Rows that passed the checks, and the part of them to score, tokenized."""

    examples: Examples
    part: str
    encoded: Encoded


@dataclass(frozen=True)
class _Asked:
    """How to score, by which slices too, and whether in 8 bits beside the model as it is."""

    settings: Evaluate
    slices: tuple[str, ...]
    int8: bool


def evaluate(
    target: str,
    *,
    data: str | Sequence[str] | None = None,
    columns: dict[str, str] | None = None,
    metrics: Sequence[str] = (),
    slices: Sequence[str] = (),
    run_programs: bool = False,
    int8: bool = False,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Scores with intervals. target: a run folder, a model folder, a Hub id, or index:NAME.

    Without data a run is scored again on its own test rows. With several corpora each has its scores, and how far
    they lie below those of the run's own test rows. slices: columns of the rows, or length, label, language, source;
    the first score is given for each of their slices too. run_programs: run those that a model of `code` writes, in a
    sandbox. int8: the scores are those with linear layers in 8 bits (CPU only), and what that changed is told, paired
    by row. Raises UserError for anything the user can mend.
    """
    named = [data] if isinstance(data, str) else list(data or [])
    _check_named_once(named)
    opened = open_model(target, progress, run_programs=run_programs)
    settings = _settings(opened, metrics)
    about = {"run" if opened.recipe else "model": target}
    asked = _Asked(settings, tuple(slices), int8)
    if len(named) > 1:
        return about | _over_corpora(opened, named, columns or {}, asked, progress)
    return about | _on_one(opened, named, columns or {}, asked, progress)


def _check_named_once(named: Sequence[str]) -> None:
    """Raises RecipeError U01."""
    problems = [
        ErrorDetail("U01", f"--data {name}", "is named twice", "name each corpus once")
        for name in dict.fromkeys(named)
        if named.count(name) > 1
    ]
    raise_if(problems, RecipeError)


def _settings(opened: Opened, metrics: Sequence[str]) -> Evaluate:
    """How to score: as the run did, the metrics asked for first. Raises RecipeError E01."""
    from llmkit.training.prepare import unknown_metrics

    raise_if(unknown_metrics(opened.task, {"--metric": metrics}), RecipeError)
    settings = opened.recipe.evaluate if opened.recipe else Evaluate()
    # what the run showed first may need what is not allowed here, as pass@1 needs programs to be run
    shown = list(metrics) or [name for name in settings.metrics if name in opened.task.spec.metrics]
    return settings.model_copy(update={"metrics": shown})


def _on_one(
    opened: Opened, named: Sequence[str], columns: dict[str, str], asked: _Asked, progress: Progress
) -> dict[str, Any]:
    """Scores on the one corpus named, or on the run's own rows."""
    if named:
        examples, part = _new_examples(opened, named[0], columns, progress), "test"
    else:
        examples, part = _own_examples(opened, progress)
    name = named[0] if named else part
    ready = {name: _ready(opened, examples, part, progress)}
    (found,) = _score_all(opened, ready, asked, progress)
    return {"data": name, "part": part, **found}


def _over_corpora(
    opened: Opened, named: Sequence[str], columns: dict[str, str], asked: _Asked, progress: Progress
) -> dict[str, Any]:
    """Every corpus checked before the first is scored; then scores, and the drop from the own test rows."""
    home = _home(opened, progress)
    checked = _check_all(opened, named, columns, progress)
    ready = {name: _ready(opened, examples, "test", progress) for name, examples in checked.items()}
    corpora: dict[str, dict[str, Any]] = {}
    verdict: list[str] = []
    for name, result in zip(ready, _score_all(opened, ready, asked, progress), strict=True):
        drops = _drops(home, result) if home else {}
        corpora[name] = {
            "n": len(ready[name].examples.corpus.splits["test"]),
            **{key: result[key] for key in OF_CORPUS if key in result},
            "drop": {metric: drop.to_json() for metric, drop in drops.items()},
        }
        verdict += _sentences(opened, name, drops, asked.settings.confidence)
    lower = [
        name for name in next(iter(corpora.values()))["headline"] if name in opened.task.spec.lower_is_better
    ]
    return {
        "data": list(named),
        "home": home,
        "corpora": corpora,
        "lower_is_better": lower,
        "confidence": asked.settings.confidence,
        "verdict": verdict,
    }


def _home(opened: Opened, progress: Progress) -> dict[str, Any] | None:
    """The scores of this model on its own test rows, as its report has them; None for a model that is no run."""
    if opened.recipe is None:
        progress.note(f"{opened.name} is a model, not a run: no test rows of its own to compare with")
        return None
    report = _report(opened)
    scores = report["seeds"][str(report["kept_seed"])] if "seeds" in report else report["scores"]
    if report["part"] != "test":
        progress.note("this run has no test rows: at home it is scored on the rows that chose the model")
    return {"part": report["part"], "n": report["data"]["parts"][report["part"]]["rows"], "scores": scores}


def _drops(home: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, independent.Difference]:
    """Home minus corpus, of each score shown first."""
    return {
        name: independent.difference(Score(**home["scores"][name]), Score(**result["scores"][name]))
        for name in result["headline"]
        if name in home["scores"]
    }


def _sentences(
    opened: Opened, corpus: str, drops: Mapping[str, independent.Difference], confidence: float
) -> list[str]:
    """What the drop of the first score that has one says, in plain words; nothing where it may be zero."""
    metric, drop = next(((name, drop) for name, drop in drops.items() if drop.low is not None), ("", None))
    if drop is None or drop.low is None or drop.high is None or not drop.excludes_zero:
        return []
    word = "lower" if drop.value > 0 else "higher"
    value, low, high = _sizes(
        drop.value, drop.low, drop.high, points=metric not in opened.task.spec.lower_is_better
    )
    return [
        f"On {corpus} {metric} is {word} than at home by {value} "
        f"({format_percent(confidence)} interval {low} to {high})."
    ]


def _sizes(value: float, low: float, high: float, *, points: bool) -> tuple[str, str, str]:
    """`8.1 points`, `5.0`, `11.3`; a loss or a squared error has a unit of its own: two digits of the value."""
    low, high = sorted([abs(low), abs(high)])
    if points:
        return f"{100 * abs(value):.1f} points", f"{100 * low:.1f}", f"{100 * high:.1f}"
    decimals = max(0, 1 - math.floor(math.log10(abs(value))))
    return f"{abs(value):.{decimals}f}", f"{low:.{decimals}f}", f"{high:.{decimals}f}"


def _check_all(
    opened: Opened, named: Sequence[str], columns: dict[str, str], progress: Progress
) -> dict[str, Examples]:
    """The rows of every corpus. Raises DataError with the problems of all of them."""
    found: dict[str, Examples] = {}
    problems: list[ErrorDetail] = []
    for name in named:
        try:
            found[name] = _new_examples(opened, name, columns, progress)
        except DataError as error:
            problems += _labels_as_one(opened, name, error.details)
    raise_if(problems, DataError)
    return found


def _labels_as_one(opened: Opened, name: str, problems: Sequence[ErrorDetail]) -> list[ErrorDetail]:
    """A corpus whose labels are other ones is one mistake, however many they are."""
    labels = [problem for problem in problems if problem.code in LABEL_CODES]
    if len(labels) < 2:
        return list(problems)
    problem = ErrorDetail(
        labels[0].code,
        name,
        f"{len(labels)} or more of its labels are none of the model's {len(opened.labels)} "
        f"({shorten_list(opened.labels)}); the first stands at {labels[0].place}",
        "write the model's own labels, or leave this corpus out",
    )
    return [problem, *(other for other in problems if other.code not in LABEL_CODES)]


def _new_examples(opened: Opened, name: str, columns: dict[str, str], progress: Progress) -> Examples:
    """The rows that were named, checked against the model's labels."""
    from llmkit.training.prepare import read_rows

    kept = opened.recipe.data if opened.recipe else Data()
    changes = {"train": None, "validation": None, "test": name, "columns": {**opened.columns, **columns}}
    source = kept.model_copy(update=changes)
    corpus = read_rows(source, opened.task, progress)
    return opened.task.check(corpus, source, 0, labels=opened.labels)


def _own_examples(opened: Opened, progress: Progress) -> tuple[Examples, str]:
    """The rows that the run set aside for its test (or only for validation)."""
    from llmkit.training.prepare import read_rows

    if opened.recipe is None:
        raise RunError("R06", opened.name, "is a model, not a run, so it has no test rows", "add --data FILE")
    recipe = opened.recipe
    examples = opened.task.check(read_rows(recipe.data, opened.task, progress), recipe.data, recipe.seed)
    _check_same_rows(opened, examples)
    return examples, "test" if "test" in examples.corpus.splits else "validation"


def _check_same_rows(opened: Opened, examples: Examples) -> None:
    """On other rows the split differs, so test rows could be rows that it learned from. Raises RunError M09."""
    if _report(opened)["data"]["fingerprint"] != examples.corpus.fingerprint:
        problem = ErrorDetail(
            "M09",
            opened.name,
            "the data is not what this run was trained on (its fingerprint differs)",
            "put the old files back, or name the rows to score with --data",
        )
        raise RunError.of(problem)


def _report(opened: Opened) -> Mapping[str, Any]:
    """Raises RunError R05 for a run without a report."""
    run = Run.open(Path(opened.name))
    if not run.finished:
        raise RunError("R05", opened.name, "is not finished", "go on with --resume")
    return run.read_report()


def _ready(opened: Opened, examples: Examples, part: str, progress: Progress) -> _Ready:
    from llmkit.training.prepare import encode_rows

    for note in (*examples.corpus.notes, *examples.notes):
        progress.note(note)
    encoded = encode_rows(opened.train, opened.task, opened.tokenizer, examples, part, progress)
    for what, count in encoded.notes.items():
        progress.note(f"{part}: {count:,} {what}")
    return _Ready(examples, part, encoded)


def _score_all(
    opened: Opened, ready: Mapping[str, _Ready], asked: _Asked, progress: Progress
) -> list[dict[str, Any]]:
    """Predict and score each corpus in turn; the results in their order."""
    from llmkit.engine import session as sessions

    for one in ready.values():
        by_slices.check(opened.task, one.examples.corpus.splits[one.part], asked.slices)
    if opened.recipe and len(opened.recipe.train.seeds or []) > 1:
        progress.note(f"{opened.name} was trained with several seeds: this is the model that it kept")
    seed = opened.recipe.seed if opened.recipe else 1
    rough = in_int8(opened) if asked.int8 else None
    with sessions.start(seed=seed, precision=opened.train.precision) as session:
        opened.model.to(session.device)
        return [_score(session, opened, rough, one, asked, progress) for one in ready.values()]


def _score(
    session: Session, opened: Opened, rough: Opened | None, ready: _Ready, asked: _Asked, progress: Progress
) -> dict[str, Any]:
    """rough: the same model in 8 bits, whose scores are then given, with what that changed."""
    references, counts = ready.examples.references[ready.part], ready.encoded.counts
    predictions = _predict(session, rough or opened, ready, progress)
    sheet = opened.task.score(
        references,
        predictions,
        opened.labels,
        resampling=asked.settings.resampling(session.seed),
        metrics=asked.settings.metrics,
    )
    changed = {}
    if rough:
        exact = _predict(session, opened, ready, progress)
        changed = {
            "int8": _changes(opened, references, predictions, exact, sheet.headline, asked, session.seed)
        }
    return {
        "scores": {name: score.to_json() for name, score in sheet.scores.items()},
        "headline": list(sheet.headline),
        **changed,
        **sheet.details,
        **_by_slice(opened, ready, predictions, sheet.headline[0], asked, session.seed),
        "cut_examples": counts.cut_examples,
        "unknown_tokens_share": counts.unknown_tokens / max(1, counts.tokens),
    }


def _changes(
    opened: Opened,
    references: Arrays,
    rough: Arrays,
    exact: Arrays,
    metrics: Sequence[str],
    asked: _Asked,
    seed: int,
) -> dict[str, Any]:
    """metric -> its score in 8 bits minus that of the model as it is; of the first ones that can be compared by row."""

    def change(metric: str) -> dict[str, Any]:
        found = opened.task.difference(
            references, rough, exact, metric, opened.labels, resampling=asked.settings.resampling(seed)
        )
        return asdict(found)

    known = opened.task.spec.metrics
    return {metric: change(metric) for metric in [name for name in metrics if name in known] or known[:1]}


def _by_slice(
    opened: Opened, ready: _Ready, predictions: Arrays, metric: str, asked: _Asked, seed: int
) -> dict[str, Any]:
    rows, references = ready.examples.corpus.splits[ready.part], ready.examples.references[ready.part]
    judged = by_slices.Judged(opened.task, rows, references, predictions, opened.labels)
    if not asked.slices:
        return {}
    return {
        "slices": by_slices.slices(judged, metric, asked.slices, resampling=asked.settings.resampling(seed))
    }


def _predict(session: Session, opened: Opened, ready: _Ready, progress: Progress) -> Arrays:
    from llmkit.engine.predict import predict
    from llmkit.inference.batches import make_batches

    references = ready.examples.references[ready.part]
    outputs = predict(
        session,
        opened.model,
        make_batches(session, ready.encoded, references, opened.tokenizer, opened.train, opened.task),
        opened.task.decode,
        max_new_tokens=opened.task.spec.max_new_tokens,
        on_progress=lambda done, total: progress.advance("predicting", done, total, "rows"),
    )
    return opened.task.predictions(outputs, ready.encoded, ready.examples.corpus.splits[ready.part].columns)
