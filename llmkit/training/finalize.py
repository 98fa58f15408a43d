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
from llmkit.data.encoding.features import TokenCounts
from llmkit.inference import slices
from llmkit.metrics import paired
from llmkit.models import save
from llmkit.report import card, page
from llmkit.report.format import phrase
from llmkit.report.report import (
    BaselineComparison,
    Curves,
    Data,
    Details,
    Evaluation,
    LengthBin,
    Lengths,
    Report,
    Scores,
    Slices,
    SplitCounts,
    Step,
    TrainingFigures,
)
from llmkit.tasks.protocol import take
from llmkit.training.baselines import run_neural, run_simple, selected
from llmkit.training.prepare import Prepared
from llmkit.training.samples import write_samples
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
    # Merging adapters rounds the weights, so predictions from before it do not hold.
    known = None if adapters else training.best_predictions
    training = replace(training, prepared=tune(training, model, known))
    predictions = training.predict(model, split)
    neural = run_neural(training, split)
    samples = write_samples(training, model, split)
    if not training.is_main:
        return {}
    prepared = training.prepared
    sheet = _score(prepared, split, predictions)
    names = selected(prepared.task, prepared.recipe)
    if names:
        training.progress.note("comparing with simple baselines")
    simple, baseline_notes = run_simple(prepared, split) if names.keys() - neural.keys() else ({}, [])
    records = _records(prepared, split, predictions)
    baselines, comparisons = _compare_with_baselines(
        prepared, split, predictions, {**simple, **neural}, sheet
    )
    report = Report(
        llmkit=llmkit.__version__,
        run=str(training.folder.path),
        name=training.name,
        task=prepared.recipe.task["name"],
        model=prepared.recipe.model.title,
        architecture=prepared.config.get("model_type"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        split=split,
        scores=sheet.scores,
        headline=sheet.headline,
        details=Details.from_json(sheet.details),
        baselines=baselines,
        comparisons=comparisons,
        verdict=[comparison.sentence for comparison in comparisons],
        slices=_slices(prepared, split, predictions, sheet),
        errors=prepared.task.worst_errors(records),
        samples=samples,
        notes=[
            *prepared.examples.corpus.notes,
            *prepared.examples.notes,
            *_encoding_notes(prepared),
            *_without_near_duplicates(prepared, split, predictions),
            *baseline_notes,
        ],
        tuned=prepared.task.spec.tuned,
        data=_data(prepared),
        lengths=_lengths(prepared),
        curves=_curves(training),
        train=_training_figures(training, model, peak, trainable),
        environment=json.loads(training.folder.environment.read_text(encoding="utf-8")),
        recipe=training.folder.recipe.read_text(encoding="utf-8"),
        command=training.command,
        weights_sha256=save.hash_weights(model),
        wording=prepared.task.spec.wording,
    )
    _write(training, model, records, report)
    return report.to_json()


def _score(prepared: Prepared, split: str, predictions: Arrays) -> ScoreSheet:
    return prepared.task.score(
        prepared.examples.references[split],
        predictions,
        prepared.examples.labels,
        resampling=prepared.recipe.evaluate.resampling(prepared.recipe.seed),
        metrics=prepared.recipe.evaluate.metrics,
    )


def _encoding_notes(prepared: Prepared) -> list[str]:
    """Return what tokenization reported about each split."""
    return [
        f"{part}: {count:,} {what}"
        for part, encoded in prepared.encoded.items()
        for what, count in encoded.notes.items()
    ]


def _without_near_duplicates(prepared: Prepared, split: str, predictions: Arrays) -> list[str]:
    """Score again without examples that are near-duplicates of training examples, which may inflate the scores."""
    near = prepared.examples.near_duplicates.get(split)
    if near is None:
        return []
    kept = np.setdiff1d(np.arange(len(prepared.examples.corpus.splits[split])), near)
    references = take(prepared.examples.references[split], kept)
    sheet = prepared.task.score(
        references, take(predictions, kept), prepared.examples.labels, resampling=None
    )
    return [
        f"{split} without its {len(near)} near-duplicates of training examples: "
        + ", ".join(f"{k} {v:.4f}" for k, v in sheet.values.items())
    ]


def _records(prepared: Prepared, split: str, predictions: Arrays) -> list[dict[str, Any]]:
    """Return the prediction records with the place of each example in its file."""
    rows = prepared.examples.corpus.splits[split]
    records = prepared.task.records(
        rows.columns, predictions, prepared.examples.labels, prepared.examples.references[split]
    )
    return [{"index": number, "place": rows.place(number), **record} for number, record in enumerate(records)]


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


def _slices(prepared: Prepared, split: str, predictions: Arrays, sheet: ScoreSheet) -> Slices | None:
    """Score slices by length, label, language and source, where the examples have several values.

    Returns None where predictions do not correspond to rows, as for blocks of plain text.
    """
    rows, references = prepared.examples.corpus.splits[split], prepared.examples.references[split]
    if any(len(values) != len(rows) for values in (*references.values(), *predictions.values())):
        return None
    evaluated = slices.EvaluatedSplit(prepared.task, rows, references, predictions, prepared.examples.labels)
    resampling = prepared.recipe.evaluate.resampling(prepared.recipe.seed)
    return Slices.from_json(slices.score_slices(evaluated, sheet.headline[0], resampling=resampling))


def _data(prepared: Prepared) -> Data:
    corpus, data, counts = prepared.examples.corpus, prepared.recipe.data, prepared.examples.label_counts
    return Data(
        splits={name: SplitCounts(len(rows), counts.get(name, {})) for name, rows in corpus.splits.items()},
        fingerprint=corpus.fingerprint,
        sources={"train": data.train, "validation": data.validation, "test": data.test},
    )


def _lengths(prepared: Prepared) -> Lengths:
    """Return lengths, truncation and unknown tokens over all splits."""
    encoded = prepared.encoded.values()
    lengths = np.concatenate([part.lengths for part in encoded])
    counts = sum((part.counts for part in encoded), TokenCounts())
    edges = np.unique(np.linspace(0, max(8, int(lengths.max())), 25).round().astype(int))
    heights, _ = np.histogram(lengths, edges)
    bins = zip(edges[:-1].tolist(), edges[1:].tolist(), heights.tolist(), strict=True)
    return Lengths(
        max_length=prepared.recipe.train.max_length,
        bins=[LengthBin(low, high, count) for low, high, count in bins],
        mean=float(lengths.mean()),
        longest=counts.longest,
        cut_examples=counts.cut_examples,
        cut_tokens_share=counts.cut_tokens / max(1, counts.tokens + counts.cut_tokens),
        unknown_tokens_share=counts.unknown_tokens / max(1, counts.tokens),
    )


def _curves(training: TrainingRun) -> Curves:
    log = training.folder.read_log()
    return Curves(
        steps=[
            Step(line["step"], line["loss"], line["learning_rate"], line["grad_norm"])
            for line in log
            if line["kind"] == "step"
        ],
        evaluations=[
            Evaluation(line["step"], {key: line[key] for key in line if key not in ("kind", "step")})
            for line in log
            if line["kind"] == "evaluation"
        ],
        best_step=training.state.best_step,
    )


def _training_figures(training: TrainingRun, model: nn.Module, peak: int, trainable: int) -> TrainingFigures:
    state = training.state
    seconds = max(state.seconds, 1e-9)
    return TrainingFigures(
        seconds=state.seconds,
        evaluation_seconds=state.evaluation_seconds,
        steps=state.step,
        examples_per_second=state.examples / seconds,
        tokens_per_second=state.tokens / seconds,
        padding_efficiency=state.tokens / max(1, state.padded_tokens),
        peak_memory_bytes=peak,
        parameters=sum(p.numel() for p in model.parameters()),
        trainable_parameters=trainable,
        precision=training.session.precision,
        world_size=training.session.world_size,
    )


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
