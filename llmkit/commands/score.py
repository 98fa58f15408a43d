"""Score a file of predictions against reference files, without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from llmkit.assets.metric_modules import load_metric_module
from llmkit.base.errors import RecipeError, shorten_list, suggest
from llmkit.base.progress import SILENT, Progress
from llmkit.data.reading.scored_files import Table, pair_rows, read_table
from llmkit.data.reading.scored_values import (
    check_same_words,
    convert_to_iob2,
    number_passages,
    read_predictions,
    read_references,
)
from llmkit.metrics.registry import ENTRIES, Entry, Setting
from llmkit.metrics.score import Score
from llmkit.metrics.settings import MetricSettings

__all__ = ["COLUMNS", "score_files"]

COLUMNS = ("predictions", "references", "id")  # names that --column accepts
DEFAULT_SETTINGS = MetricSettings()


def score_files(
    predictions: str,
    references: Sequence[str],
    metrics: Sequence[str],
    *,
    settings: MetricSettings = DEFAULT_SETTINGS,
    columns: Mapping[str, str] | None = None,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Score a file of predictions and return the scores with intervals.

    Args:
        predictions: File of predictions.
        references: Reference files; several files are several references for each example.
        metrics: Names from `llmkit metrics list`, or modules of the `evaluate` library.
        settings: Options of the metrics.
        columns: Column of the files for "predictions", "references" and "id".
        progress: Receives notes.

    Raises:
        UserError: For anything that the user can fix.
    """
    columns = columns or {}
    for name in columns:
        if name not in COLUMNS:
            message = f'"{name}" is not a column that can be set{suggest(name, COLUMNS)}'
            raise RecipeError("U01", f"--column {name}=", message, f"use one of {', '.join(COLUMNS)}")
    if not metrics:
        fix = "run `llmkit metrics list` to see the names"
        raise RecipeError("U01", "--metric", "no metric was named", fix)
    names = list(dict.fromkeys(metrics))
    keys: list[str] = []
    for entry in (ENTRIES[name] for name in names if name in ENTRIES):
        _check_keys(keys, {entry.name: entry.keys})
        keys += entry.keys
    entries = [ENTRIES.get(name) or load_metric_module(name) for name in names]
    _check_settings(entries, settings)
    named = [columns[side] for side in ("predictions", "references") if side in columns]
    tables = [read_table(name, named_columns=named) for name in (predictions, *references)]
    for note in (note for table in tables for note in table.notes):
        progress.note(note)
    tables = pair_rows(tables[0], tables[1:], columns.get("id"))
    scores: dict[str, Score] = {}
    for entry in entries:
        new_scores = _score(entry, tables, columns, settings, progress)
        _check_keys(
            [*scores], {entry.name: list(new_scores)}
        )  # a module names its keys only when it computes them
        scores |= new_scores
    return {
        "predictions": predictions,
        "references": list(references),
        "n": len(tables[0].rows),
        "scores": {key: score.to_json() for key, score in scores.items()},
    }


def _check_keys(taken: Sequence[str], new: Mapping[str, Sequence[str]]) -> None:
    """Raise RecipeError E08 where two metrics compute a score of the same name."""
    for name, keys in new.items():
        duplicates = [key for key in keys if key in taken]
        if duplicates:
            message = f'its score "{duplicates[0]}" has the same name as a score of another metric'
            raise RecipeError("E08", f"--metric {name}", message, "compute the metrics one at a time")


def _check_settings(entries: Sequence[Entry], settings: MetricSettings) -> None:
    """Raise RecipeError U01 for a setting that none of the metrics uses.

    The language is exempt: it describes the texts, whether or not a metric uses it.
    """
    values: dict[Setting, Any] = {
        "tokenizer": settings.tokenizer,
        "stemmer": settings.stemmer,
        "strict": settings.strict,
    }
    for setting, value in values.items():
        if value and not any(setting in entry.settings for entry in entries):
            message = f"has no effect on {shorten_list([entry.name for entry in entries])}"
            users = [name for name, entry in ENTRIES.items() if setting in entry.settings]
            raise RecipeError(
                "U01", f"--{setting}", message, f"leave it out; it applies to {shorten_list(users)}"
            )


def _score(
    metric: Entry,
    tables: Sequence[Table],
    columns: Mapping[str, str],
    settings: MetricSettings,
    progress: Progress,
) -> dict[str, Score]:
    """Compute one metric over the paired rows. Raises DataError E07 or U01, and the metric's own errors."""
    predictions = read_predictions(tables[0], metric.kind, columns.get("predictions"))
    references = read_references(tables[1:], metric.kind, columns.get("references"))
    if metric.kind == "tags":
        check_same_words(tables[0], tables[1], predictions, references)
        predictions, references = convert_to_iob2(predictions, references, strict=settings.strict)
    if metric.kind == "labels" and not {*predictions} & {*references}:
        labels = [shorten_list(sorted({*side}), 3) for side in (predictions, references)]
        progress.note(
            f"Warning: no predicted label occurs in the references: {labels[0]} against {labels[1]}"
        )
    groups = number_passages(tables[1]) if metric.kind == "answers" else None
    return metric.score(predictions, references, replace(settings, groups=groups))
