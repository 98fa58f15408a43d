"""Score predictions in a file against references in files, without any model: `llmkit evaluate --predictions`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from llmkit.base.errors import RecipeError, closest, some
from llmkit.base.progress import SILENT, Progress
from llmkit.data.reading.scored_files import Table, pair_rows, read_table
from llmkit.data.reading.scored_values import (
    check_same_words,
    convert_to_iob2,
    number_passages,
    read_predictions,
    read_references,
)
from llmkit.metrics.registry import ENTRIES, Entry, MetricSettings, Setting
from llmkit.metrics.score import Score

__all__ = ["SIDES", "score_files"]

SIDES = ("predictions", "references", "id")  # what --column can name
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
    """Scores with intervals, by key. Several references are several reference texts of each example.

    metrics are names of `metrics.catalog`, or modules of the `evaluate` library. columns names what stands where in
    the files (SIDES). Raises UserError for anything the user can mend.
    """
    columns = columns or {}
    _check_columns(columns)
    entries = _entries(metrics)
    _check_settings(entries, settings)
    asked = [columns[side] for side in ("predictions", "references") if side in columns]
    tables = [read_table(name, named_columns=asked) for name in (predictions, *references)]
    for note in (note for table in tables for note in table.notes):
        progress.note(note)
    tables = pair_rows(tables[0], tables[1:], columns.get("id"))
    scores: dict[str, Score] = {}
    for each in entries:
        found = _score(each, tables, columns, settings, progress)
        _check_keys([*scores], {each.name: list(found)})  # what a module gives is known only now
        scores |= found
    return {
        "predictions": predictions,
        "references": list(references),
        "n": len(tables[0].rows),
        "scores": {key: score.to_json() for key, score in scores.items()},
    }


def _check_columns(columns: Mapping[str, str]) -> None:
    """Raises RecipeError U01."""
    unknown = next((name for name in columns if name not in SIDES), None)
    if unknown:
        message = f'"{unknown}" is no part of the files{closest(unknown, SIDES)}'
        raise RecipeError("U01", f"--column {unknown}=", message, f"write one of {', '.join(SIDES)}")


def _entries(metrics: Sequence[str]) -> list[Entry]:
    """The metrics asked for, each once. UserError E01, E08, E09, U01."""
    if not metrics:
        raise RecipeError("U01", "--metric", "which one?", "`llmkit metrics list` shows them")
    names = list(dict.fromkeys(metrics))
    taken: list[str] = []
    for each in (ENTRIES[name] for name in names if name in ENTRIES):
        _check_keys(taken, {each.name: each.keys})
        taken += each.keys
    return [ENTRIES.get(name) or _module(name) for name in names]


def _module(name: str) -> Entry:
    from llmkit.assets.metric_modules import load_metric_module

    return load_metric_module(name)


def _check_keys(taken: Sequence[str], new: Mapping[str, Sequence[str]]) -> None:
    """Raises RecipeError E08."""
    for name, keys in new.items():
        twice = [key for key in keys if key in taken]
        if twice:
            message = f'its score "{twice[0]}" would stand beside another one of that name'
            raise RecipeError("E08", f"--metric {name}", message, "ask for one metric at a time")


def _check_settings(entries: Sequence[Entry], settings: MetricSettings) -> None:
    """A setting that changes nothing was meant for another metric. Raises RecipeError U01.

    The language is no such setting: it is said of the texts, whatever a metric makes of it.
    """
    given: dict[Setting, Any] = {
        "tokenizer": settings.tokenizer,
        "stemmer": settings.stemmer,
        "strict": settings.strict,
    }
    for setting, value in given.items():
        if value and not any(setting in each.settings for each in entries):
            message = f"changes nothing of {some([each.name for each in entries])}"
            users = [name for name, each in ENTRIES.items() if setting in each.settings]
            raise RecipeError("U01", f"--{setting}", message, f"leave it out; it is for {some(users)}")


def _score(
    metric: Entry,
    tables: Sequence[Table],
    columns: Mapping[str, str],
    settings: MetricSettings,
    progress: Progress,
) -> dict[str, Score]:
    """One metric of the paired rows. Raises DataError E07, U01, and what the metric itself finds."""
    ours = read_predictions(tables[0], metric.kind, columns.get("predictions"))
    theirs = read_references(tables[1:], metric.kind, columns.get("references"))
    if metric.kind == "tags":
        check_same_words(tables[0], tables[1], ours, theirs)
        ours, theirs = convert_to_iob2(ours, theirs, strict=settings.strict)
    if metric.kind == "labels" and not {*ours} & {*theirs}:
        labels = [some(sorted({*side}), 3) for side in (ours, theirs)]
        progress.note(f"no predicted label is a gold one: {labels[0]} against {labels[1]}")
    groups = number_passages(tables[1]) if metric.kind == "answers" else None
    return metric.score(ours, theirs, replace(settings, groups=groups))
