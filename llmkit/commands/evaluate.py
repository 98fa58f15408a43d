"""Evaluate a model: on the run's own test set, on a new data set, or on several beside the test set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.base.errors import DataError, ErrorDetail, RecipeError, RunError, raise_if, shorten_list
from llmkit.base.progress import SILENT, Progress
from llmkit.base.run import Run
from llmkit.inference.batches import make_batches
from llmkit.inference.slices import EvaluatedSplit, check_groupings, score_slices
from llmkit.inference.trained_model import TrainedModel, open_model, quantize_model
from llmkit.metrics import independent
from llmkit.metrics.intervals import format_percent
from llmkit.metrics.score import Score
from llmkit.recipe.schema import Data, Evaluate
from llmkit.training.prepare import encode_rows, find_unknown_metrics, read_rows

if TYPE_CHECKING:
    from llmkit.data.encoding.features import Encoded
    from llmkit.engine.session import Session
    from llmkit.tasks.protocol import Arrays, Examples

__all__ = ["evaluate"]

DATA_SET_KEYS = ("scores", "headline", "unknown_tokens_share", "cut_examples", "slices", "int8")
LABEL_CODES = ("L05", "L06")  # a label that the model does not have


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
    """Evaluate a model and return its scores with intervals.

    Args:
        target: A run folder, a model folder, a Hub id, or index:NAME.
        data: Labelled data sets. None evaluates a run on its own test set. With several data sets, the result has the
            scores of each and their drop below the in-domain test set.
        columns: Columns of the data for the task's inputs and labels.
        metrics: Metrics to report first.
        slices: Columns of the data, or length, label, language, source; the first metric is reported for each slice.
        run_programs: Run the programs that a code model generates, in a sandbox.
        int8: Quantize linear layers to int8 (CPU) and report the paired change of each score.
        progress: Receives messages and progress.

    Raises:
        UserError: For anything that the user can fix.
    """
    names = [data] if isinstance(data, str) else list(data or [])
    duplicates = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    fix = "give each data set once"
    raise_if(
        [ErrorDetail("U01", f"--data {name}", "is given twice", fix) for name in duplicates], RecipeError
    )
    model = open_model(target, progress, run_programs=run_programs)
    raise_if(find_unknown_metrics(model.task, {"--metric": metrics}), RecipeError)
    settings = model.recipe.evaluate if model.recipe else Evaluate()
    # The run's headline metrics may need a permission that is missing here: pass@1 needs --run-programs.
    headline = list(metrics) or [name for name in settings.metrics if name in model.task.spec.metrics]
    settings = settings.model_copy(update={"metrics": headline})
    evaluator = _Evaluator(model, settings, tuple(slices), int8, columns or {}, progress)
    result = evaluator.evaluate_several(names) if len(names) > 1 else evaluator.evaluate_one(names)
    return {"run" if model.recipe else "model": target, **result}


@dataclass(frozen=True)
class _EncodedSplit:
    """Checked examples, and the split of them to evaluate, with its token ids."""

    examples: Examples
    split: str
    encoded: Encoded

    @property
    def references(self) -> Arrays:
        return self.examples.references[self.split]


@dataclass(frozen=True)
class _Evaluator:
    """A model, its evaluation settings, and the columns and slices of the data."""

    model: TrainedModel
    settings: Evaluate
    slices: tuple[str, ...]
    int8: bool
    columns: dict[str, str]
    progress: Progress

    def evaluate_one(self, names: Sequence[str]) -> dict[str, Any]:
        """Evaluate on the named data set, or without a name on the run's own test set."""
        if names:
            examples, split = self._read_data_set(names[0]), "test"
        else:
            examples, split = self._read_own_test_set()
        (result,) = self._score_all([self._encode(examples, split)])
        return {"data": names[0] if names else split, "part": split, **result}

    def evaluate_several(self, names: Sequence[str]) -> dict[str, Any]:
        """Check all data sets, then evaluate each and compare it with the in-domain test set."""
        in_domain = self._in_domain_scores()
        checked = self._read_all(names)
        encoded = {name: self._encode(examples, "test") for name, examples in checked.items()}
        corpora: dict[str, dict[str, Any]] = {}
        verdict: list[str] = []
        for name, result in zip(encoded, self._score_all(list(encoded.values())), strict=True):
            # The in-domain score minus the score on the data set.
            drops = {
                metric: independent.difference(
                    Score(**in_domain["scores"][metric]), Score(**result["scores"][metric])
                )
                for metric in result["headline"]
                if in_domain and metric in in_domain["scores"]
            }
            corpora[name] = {
                "n": len(encoded[name].examples.corpus.splits["test"]),
                **{key: result[key] for key in DATA_SET_KEYS if key in result},
                "drop": {metric: drop.to_json() for metric, drop in drops.items()},
            }
            verdict += self._describe_drop(name, drops)
        headline = next(iter(corpora.values()))["headline"]
        return {
            "data": list(names),
            "home": in_domain,
            "corpora": corpora,
            "lower_is_better": [name for name in headline if name in self.model.task.spec.lower_is_better],
            "confidence": self.settings.confidence,
            "verdict": verdict,
        }

    def _in_domain_scores(self) -> dict[str, Any] | None:
        """Return the scores on the run's own test set from its report; None for a model without a run."""
        if self.model.recipe is None:
            note = f"{self.model.name} is a model, not a run: there is no in-domain test set to compare with"
            self.progress.note(note)
            return None
        report = _read_report(self.model)
        scores = report["seeds"][str(report["kept_seed"])] if "seeds" in report else report["scores"]
        if report["part"] != "test":
            self.progress.note(
                "This run has no test set, so its in-domain score is measured on the validation set that was also "
                "used for model selection."
            )
        return {
            "part": report["part"],
            "n": report["data"]["parts"][report["part"]]["rows"],
            "scores": scores,
        }

    def _describe_drop(self, name: str, drops: Mapping[str, independent.Difference]) -> list[str]:
        """Describe the drop of the first metric with an interval, unless the interval covers zero."""
        metric, drop = next(
            ((name, drop) for name, drop in drops.items() if drop.low is not None), ("", None)
        )
        if drop is None or drop.low is None or drop.high is None or not drop.excludes_zero:
            return []
        word = "lower" if drop.value > 0 else "higher"
        low, high = sorted([abs(drop.low), abs(drop.high)])
        if metric in self.model.task.spec.lower_is_better:  # losses keep their unit and two digits
            decimals = max(0, 1 - math.floor(math.log10(abs(drop.value))))
            size, interval = f"{abs(drop.value):.{decimals}f}", f"{low:.{decimals}f} to {high:.{decimals}f}"
        else:
            size, interval = f"{100 * abs(drop.value):.1f} points", f"{100 * low:.1f} to {100 * high:.1f}"
        return [
            f"On {name}, {metric} is {word} than on the in-domain test set by {size} "
            f"({format_percent(self.settings.confidence)} CI {interval})."
        ]

    def _read_all(self, names: Sequence[str]) -> dict[str, Examples]:
        """Read and check all data sets. Raises DataError with the errors of all of them."""
        examples: dict[str, Examples] = {}
        errors: list[ErrorDetail] = []
        for name in names:
            try:
                examples[name] = self._read_data_set(name)
            except DataError as error:
                errors += _merge_label_errors(self.model, name, error.details)
        raise_if(errors, DataError)
        return examples

    def _read_data_set(self, name: str) -> Examples:
        """Read a data set and check it against the model's labels."""
        model = self.model
        settings = model.recipe.data if model.recipe else Data()
        columns = {**model.columns, **self.columns}
        changes = {"train": None, "validation": None, "test": name, "columns": columns}
        source = settings.model_copy(update=changes)
        return model.task.check(read_rows(source, model.task, self.progress), source, 0, labels=model.labels)

    def _read_own_test_set(self) -> tuple[Examples, str]:
        """Return the run's examples, and its test split (or the validation split where it has no test split).

        Raises:
            RunError: R06 for a model without a run, M09 where the data changed: another split could put training
                examples into the test set.
        """
        model, recipe = self.model, self.model.recipe
        if recipe is None:
            raise RunError(
                "R06", model.name, "is a model, not a run, so it has no test set", "add --data FILE"
            )
        examples = model.task.check(
            read_rows(recipe.data, model.task, self.progress), recipe.data, recipe.seed
        )
        if _read_report(model)["data"]["fingerprint"] != examples.corpus.fingerprint:
            raise RunError(
                "M09",
                model.name,
                "the data is not the data that this run was trained on (its fingerprint differs)",
                "put the old files back, or name the data to evaluate on with --data",
            )
        return examples, "test" if "test" in examples.corpus.splits else "validation"

    def _encode(self, examples: Examples, split: str) -> _EncodedSplit:
        for note in (*examples.corpus.notes, *examples.notes):
            self.progress.note(note)
        model = self.model
        encoded = encode_rows(model.train, model.task, model.tokenizer, examples, split, self.progress)
        for what, count in encoded.notes.items():
            self.progress.note(f"{split}: {count:,} {what}")
        return _EncodedSplit(examples, split, encoded)

    def _score_all(self, splits: Sequence[_EncodedSplit]) -> list[dict[str, Any]]:
        """Predict and score each split; the results are in their order."""
        from llmkit.engine import session as sessions

        model = self.model
        for item in splits:
            check_groupings(model.task, item.examples.corpus.splits[item.split], self.slices)
        if model.recipe and len(model.recipe.train.seeds or []) > 1:
            self.progress.note(f"{model.name} was trained with several seeds; its best model is evaluated")
        quantized = quantize_model(model) if self.int8 else None
        seed = model.recipe.seed if model.recipe else 1
        with sessions.start(seed=seed, precision=model.train.precision) as session:
            model.model.to(session.device)
            return [self._score(session, item, quantized) for item in splits]

    def _score(self, session: Session, item: _EncodedSplit, quantized: TrainedModel | None) -> dict[str, Any]:
        """Score one split; with a quantized model, score that one and report the change."""
        model, counts = self.model, item.encoded.counts
        resampling = self.settings.resampling(session.seed)
        predictions = self._predict(session, quantized or model, item)
        sheet = model.task.score(
            item.references, predictions, model.labels, resampling=resampling, metrics=self.settings.metrics
        )
        result: dict[str, Any] = {
            "scores": {name: score.to_json() for name, score in sheet.scores.items()},
            "headline": list(sheet.headline),
        }
        if quantized:
            exact = self._predict(session, model, item)
            metrics = model.task.spec.metrics
            paired = [name for name in sheet.headline if name in metrics] or metrics[:1]
            result["int8"] = {
                metric: asdict(
                    model.task.difference(
                        item.references, predictions, exact, metric, model.labels, resampling=resampling
                    )
                )
                for metric in paired
            }
        result |= sheet.details
        if self.slices:
            rows = item.examples.corpus.splits[item.split]
            evaluated = EvaluatedSplit(model.task, rows, item.references, predictions, model.labels)
            result["slices"] = score_slices(evaluated, sheet.headline[0], self.slices, resampling=resampling)
        result["cut_examples"] = counts.cut_examples
        result["unknown_tokens_share"] = counts.unknown_tokens / max(1, counts.tokens)
        return result

    def _predict(self, session: Session, model: TrainedModel, item: _EncodedSplit) -> Arrays:
        from llmkit.engine.predict import predict

        task = model.task
        outputs = predict(
            session,
            model.model,
            make_batches(session, item.encoded, item.references, model.tokenizer, model.train, task),
            task.decode,
            max_new_tokens=task.spec.max_new_tokens,
            on_progress=lambda done, total: self.progress.advance("predicting", done, total, "rows"),
        )
        return task.predictions(outputs, item.encoded, item.examples.corpus.splits[item.split].columns)


def _merge_label_errors(model: TrainedModel, name: str, errors: Sequence[ErrorDetail]) -> list[ErrorDetail]:
    """Report a data set with other labels than the model's as one error, however many labels differ."""
    labels = [error for error in errors if error.code in LABEL_CODES]
    if len(labels) < 2:
        return list(errors)
    merged = ErrorDetail(
        labels[0].code,
        name,
        f"{len(labels)} or more of its labels are not among the model's {len(model.labels)} labels "
        f"({shorten_list(model.labels)}); the first is at {labels[0].place}",
        "use the model's labels, or leave this data set out",
    )
    return [merged, *(error for error in errors if error.code not in LABEL_CODES)]


def _read_report(model: TrainedModel) -> Mapping[str, Any]:
    """Read the run's report. Raises RunError R05 for an unfinished run."""
    run = Run.open(Path(model.name))
    if not run.finished:
        raise RunError("R05", model.name, "is not finished", "continue it with --resume")
    return run.read_report()
