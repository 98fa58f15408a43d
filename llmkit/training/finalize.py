"""Finalize a run: save the model, predict and evaluate the test set, compare with baselines, write the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import numpy as np

import llmkit
from llmkit.base import environment, files
from llmkit.inference import slices
from llmkit.metrics import paired
from llmkit.models import save
from llmkit.report import card, page
from llmkit.report.format import phrase
from llmkit.report.report import (
    BaselineComparison,
    Details,
    Report,
    Scores,
    Slices,
)
from llmkit.tasks.protocol import take
from llmkit.training.baselines import run_neural, run_simple, selected
from llmkit.training.prepare import Prepared
from llmkit.training.samples import write_samples
from llmkit.training.statistics import compute_figures, describe_data, measure_lengths, read_curves
from llmkit.training.training_run import TrainingRun
from llmkit.training.validation import tune

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn

    from llmkit.tasks.protocol import Arrays, ScoreSheet

__all__ = ["finalize"]


def finalize(training: TrainingRun, model: nn.Module) -> dict[str, Any]:
    """Save the model, predict and evaluate the test set, compare with baselines, write the report.

    Writes model/, predictions/, scores.json and the report. Without a test set the validation set takes its place.

    Args:
        training: The run after its last step. All processes call this together.
        model: The model with its best weights.

    Returns:
        The report's content on the main process, {} on the others.
    """
    peak = environment.get_peak_memory_bytes()
    split = "test" if "test" in training.prepared.encoded else "validation"
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)  # merging removes the adapters
    adapters = training.prepared.recipe.model.lora
    if adapters and adapters.merge:
        from llmkit.models import lora  # imports peft, which takes a while

        model = lora.merge_adapter(cast("PeftModel", model))
    # Merging adapters rounds the weights, so predictions made before the merge do not hold.
    validation_predictions = None if adapters else training.best_predictions
    training = replace(training, prepared=tune(training, model, validation_predictions))
    predictions = training.predict(model, split)
    neural = run_neural(training, split)
    samples = write_samples(training, model, split)
    if not training.is_main:
        return {}
    task, examples = training.prepared.task, training.prepared.examples
    rows = examples.corpus.splits[split]
    records = [
        {"index": number, "place": rows.place(number), **record}
        for number, record in enumerate(
            task.records(rows.columns, predictions, examples.labels, examples.references[split])
        )
    ]
    report = replace(
        _evaluate(training, split, predictions, neural),
        errors=task.worst_errors(records),
        samples=samples,
        train=compute_figures(training, model, peak, trainable),
        weights_sha256=save.hash_weights(model),
    )
    _write(training, model, records, report)
    return report.to_json()


def _evaluate(training: TrainingRun, split: str, predictions: Arrays, neural: Mapping[str, Arrays]) -> Report:
    """Evaluate the predictions, compare them with the baselines, and describe the run.

    Args:
        training: The run, with the tuned task.
        split: The split that was predicted.
        predictions: Predictions of the model.
        neural: Predictions of the baselines that need torch, by baseline.

    Returns:
        The report without errors, samples, training figures and the digest of the weights, which the caller adds.
    """
    prepared = training.prepared
    task, recipe, examples = prepared.task, prepared.recipe, prepared.examples
    sheet = task.score(
        examples.references[split],
        predictions,
        examples.labels,
        resampling=recipe.evaluate.resampling(recipe.seed),
        metrics=recipe.evaluate.metrics,
    )
    names = selected(task, recipe)
    if names:
        training.progress.note("comparing with simple baselines")
    simple, baseline_notes = run_simple(prepared, split) if names.keys() - neural.keys() else ({}, [])
    baselines, comparisons = _compare_with_baselines(
        prepared, split, predictions, {**simple, **neural}, sheet
    )
    near_duplicates = _score_without_near_duplicates(prepared, split, predictions)
    return Report(
        llmkit=llmkit.__version__,
        run=str(training.folder.path),
        name=training.name,
        task=recipe.task["name"],
        model=recipe.model.title,
        architecture=prepared.config.get("model_type"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        split=split,
        scores=sheet.scores,
        headline=sheet.headline,
        details=Details.from_json(sheet.details),
        baselines=baselines,
        comparisons=comparisons,
        verdict=[comparison.sentence for comparison in comparisons],
        slices=_score_slices(prepared, split, predictions, sheet),
        notes=[
            *examples.corpus.notes,
            *examples.notes,
            *prepared.encoding_notes,
            *near_duplicates,
            *baseline_notes,
        ],
        tuned=task.spec.tuned,
        data=describe_data(prepared),
        lengths=measure_lengths(prepared),
        curves=read_curves(training),
        environment=json.loads(training.folder.environment.read_text(encoding="utf-8")),
        recipe=training.folder.recipe.read_text(encoding="utf-8"),
        command=training.command,
        wording=task.spec.wording,
    )


def _score_without_near_duplicates(prepared: Prepared, split: str, predictions: Arrays) -> list[str]:
    """Return a note with the scores without near-duplicates of training examples, which may inflate the scores."""
    near = prepared.examples.near_duplicates.get(split)
    if near is None:
        return []
    others = np.setdiff1d(np.arange(len(prepared.examples.corpus.splits[split])), near)
    references = take(prepared.examples.references[split], others)
    sheet = prepared.task.score(
        references, take(predictions, others), prepared.examples.labels, resampling=None
    )
    return [
        f"{split} without its {len(near)} near-duplicates of training examples: "
        + ", ".join(f"{k} {v:.4f}" for k, v in sheet.values.items())
    ]


def _compare_with_baselines(
    prepared: Prepared,
    split: str,
    predictions: Arrays,
    of_baselines: Mapping[str, Arrays],
    sheet: ScoreSheet,
) -> tuple[dict[str, Scores], list[BaselineComparison]]:
    """Score the baselines on the same examples, and describe each paired difference in a sentence."""
    task, evaluate = prepared.task, prepared.recipe.evaluate
    resampling = evaluate.resampling(prepared.recipe.seed)
    references, labels = prepared.examples.references[split], prepared.examples.labels
    scores: dict[str, Scores] = {}
    comparisons: list[BaselineComparison] = []
    for name, baseline in selected(task, prepared.recipe).items():
        metric, theirs = sheet.headline[0], of_baselines[name]
        scores[name] = task.score(
            references, theirs, labels, resampling=resampling, metrics=evaluate.metrics
        ).scores
        difference = task.difference(references, predictions, theirs, metric, labels, resampling=resampling)
        sentence = paired.describe_difference(
            replace(difference, metric=phrase(metric)), "the model", baseline.title
        )
        comparisons.append(BaselineComparison(name, baseline.title, metric, difference, sentence))
    return scores, comparisons


def _score_slices(prepared: Prepared, split: str, predictions: Arrays, sheet: ScoreSheet) -> Slices | None:
    """Score slices by length, label, language and source, where the examples have several values.

    Returns None where predictions do not correspond to rows, as for blocks of plain text.
    """
    rows, references = prepared.examples.corpus.splits[split], prepared.examples.references[split]
    if any(len(values) != len(rows) for values in (*references.values(), *predictions.values())):
        return None
    evaluated = slices.EvaluatedSplit(prepared.task, rows, references, predictions, prepared.examples.labels)
    resampling = prepared.recipe.evaluate.resampling(prepared.recipe.seed)
    return Slices.from_json(slices.score_slices(evaluated, sheet.headline[0], resampling=resampling))


def _write(training: TrainingRun, model: nn.Module, records: list[dict[str, Any]], report: Report) -> None:
    """Write the run's files: the model first and the report last, because a run with a report is finished."""
    prepared, run = training.prepared, training.folder
    recipe = prepared.recipe
    metadata = save.ModelMetadata(
        task=recipe.task,
        labels=list(prepared.examples.labels),
        columns={**prepared.task.spec.columns, **recipe.data.columns},
        max_length=recipe.train.max_length,
        base=recipe.model.title,
        adapter=bool(recipe.model.lora and not recipe.model.lora.merge),
        llmkit=llmkit.__version__,
        tuned=dict(prepared.task.spec.tuned),
    )
    save.save_model(run.model, model, prepared.tokenizer, metadata, readme=card.text(report))
    files.write_lines(
        run.predictions(report.split), (json.dumps(r, ensure_ascii=False) + "\n" for r in records)
    )
    scores = {name: score.to_json() for name, score in report.scores.items()}
    files.write_json(run.path / "scores.json", {"part": report.split, "scores": scores})
    page.write(run.path, report)
