"""Sections on data, cost and hardware of a run, and on how to reproduce it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llmkit.report.format import count, duration, number, percent, plain, size, words
from llmkit.report.report import Lengths, Report, SplitCounts
from llmkit.report.tables import Cell, Section, Table, count_cell, pairs
from llmkit.report.wording import Wording

__all__ = ["COSTS", "data", "environment", "lengths", "notes", "recipe", "repeat", "speed"]

WARNING_SHARE = 0.05  # share of truncated or unknown tokens above which the report warns
FOLDED = 20  # classes above which their counts are shown on demand
COSTS: Mapping[str, tuple[str, Callable[[Any], str]]] = {  # field of the training figures: (name, format)
    "steps": ("Steps", count),
    "seconds": ("Training time", duration),
    "evaluation_seconds": ("Evaluation time", duration),
    "examples_per_second": ("Examples per second", number),
    "tokens_per_second": ("Tokens per second", number),
    "padding_efficiency": ("Tokens that are not padding", percent),
    "peak_memory_bytes": ("Peak memory", size),
    "parameters": ("Parameters", count),
    "trainable_parameters": ("Trainable parameters", count),
    "precision": ("Precision", plain),
    "world_size": ("Processes", plain),
}


def lengths(report: Report) -> Section | None:
    """Make the section on lengths, truncation and unknown tokens."""
    content = report.lengths
    if content is None:
        return None
    figures = {
        "Maximum length": count(content.max_length),
        **({"Longest example": count(content.longest)} if content.longest else {}),
        "Mean": number(content.mean),
        "Truncated examples": count(content.cut_examples),
        "Tokens lost to truncation": percent(content.cut_tokens_share),
        "Unknown tokens": percent(content.unknown_tokens_share),
    }
    bins = [
        (Cell(f"{count(part.low)} to {count(part.high)}"), count_cell(part.count)) for part in content.bins
    ]
    tables = [
        pairs("Lengths in tokens", figures),
        Table("Inputs by length", ("Tokens", "Inputs"), bins, folded=True),
    ]
    return Section(
        "lengths",
        "Lengths",
        warnings=_warn_about_tokens(content),
        plots=["lengths"],
        tables=[table for table in tables if table.rows],
    )


def _warn_about_tokens(content: Lengths) -> list[str]:
    warnings = []
    if content.unknown_tokens_share > WARNING_SHARE:
        warnings.append(
            f"{percent(content.unknown_tokens_share)} of the tokens are unknown to the tokenizer, so the model cannot "
            "read them. Choose a base model for this language and kind of text."
        )
    if content.cut_tokens_share > WARNING_SHARE:
        warnings.append(
            f"{percent(content.cut_tokens_share)} of the tokens were lost to truncation. Raise train.max_length."
        )
    return warnings


def notes(report: Report) -> Section | None:
    """Make the section with notes on data, splits and baselines."""
    return Section("notes", "Notes", report.notes) if report.notes else None


def data(report: Report) -> Section | None:
    """Make the section on the size, the source and the classes of each split."""
    splits, sources = report.data.splits, report.data.sources
    rows = [
        (
            Cell(name),
            count_cell(splits[name].rows if name in splits else None),
            Cell(plain(sources.get(name))),
        )
        for name in dict.fromkeys([*splits, *sources])
    ]
    tables = [Table("Splits", ("Split", "Examples", "Source"), rows), *_count_classes(splits, report.wording)]
    return Section("data", "Data", tables=tables) if rows else None


def _count_classes(splits: Mapping[str, SplitCounts], wording: Wording) -> list[Table]:
    """Count the examples of each class; no table if there are too few different classes."""
    labels = list(dict.fromkeys(label for split in splits.values() for label in split.classes))
    if len(labels) < wording.min_counts:
        return []
    rows = [
        [Cell(label), *(count_cell(split.classes.get(label, 0)) for split in splits.values())]
        for label in labels
    ]
    one = wording.class_names[0]
    caption, first = wording.counts or (f"Examples by {one}", words(one))
    return [Table(caption, (first, *splits), rows, folded=len(rows) > FOLDED)]


def speed(report: Report) -> Section | None:
    """Make the section on time, speed and memory."""
    if report.train is None:
        return None
    figures = {name: form(getattr(report.train, key)) for key, (name, form) in COSTS.items()}
    return Section("speed", "Speed and memory", tables=[pairs("Time, speed and memory of training", figures)])


def environment(report: Report) -> Section | None:
    """Make the section on versions and hardware."""
    values = {words(name): plain(value) for name, value in report.environment.items()}
    return (
        Section("environment", "Environment", tables=[pairs("Versions and hardware", values)])
        if values
        else None
    )


def recipe(report: Report) -> Section | None:
    """Make the section with the resolved recipe."""
    return (
        Section("recipe", "Recipe", codes=[("With all defaults", report.recipe)]) if report.recipe else None
    )


def repeat(report: Report) -> Section | None:
    """Make the section on how to reproduce the run."""
    if not report.command:
        return None
    values = {
        "Seed": "" if report.seed is None else str(report.seed),
        "Data fingerprint": report.data.fingerprint,
        "SHA-256 of the weights": report.weights_sha256,
        "llmkit": report.llmkit,
    }
    table = pairs("Values to compare", {name: value for name, value in values.items() if value})
    line = (
        "Run this command on the same data, in the same environment and on the same kind of machine. "
        "It gives the same values."
    )
    return Section(
        "repeat",
        "Reproduce this run",
        [line],
        tables=[table] if table.rows else [],
        codes=[("Command", report.command)],
    )
