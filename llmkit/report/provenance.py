"""The second half of a report: on what data, at what cost, on which machine, and how to do it again.

As in `content`, every function reads one part and returns one section, or None when that part is empty.
"""

from __future__ import annotations

import re

from llmkit.report.format import count, duration, number, percent, plain, size, words
from llmkit.report.tables import Cell, Content, Section, Table, count_cell, pairs
from llmkit.report.wording import Wording

__all__ = ["COSTS", "data", "environment", "lengths", "notes", "recipe", "repeat", "seed", "speed"]

LOUD_SHARE = 0.05  # of the tokens cut or unknown: above it the report warns
MOST_CLASSES = 20  # rows of the table of classes shown unasked
COSTS = {  # key: (name, form), in reading order
    "steps": ("Steps", count),
    "seconds": ("Training", duration),
    "evaluation_seconds": ("Evaluation", duration),
    "examples_per_second": ("Examples per second", number),
    "tokens_per_second": ("Tokens per second", number),
    "padding_efficiency": ("Tokens that are not padding", percent),
    "peak_memory_bytes": ("Peak memory", size),
    "parameters": ("Parameters", count),
    "trainable_parameters": ("Trainable parameters", count),
    "precision": ("Precision", plain),
    "world_size": ("Processes", plain),
}
LENGTHS = {
    "max_length": ("Longest allowed", count),
    "longest": ("Longest example", count),
    "mean": ("Mean", number),
    "cut_examples": ("Examples cut", count),
    "cut_tokens_share": ("Tokens cut", percent),
    "unknown_tokens_share": ("Unknown tokens", percent),
}


def lengths(content: Content) -> Section | None:
    found = content.get("lengths") or {}
    if not found:
        return None
    told = found if found.get("longest") else {**found, "longest": None}  # 0: windows are never too long
    known = {name: form(told[key]) for key, (name, form) in LENGTHS.items() if told.get(key) is not None}
    bins = [
        (Cell(f"{count(part['low'])} to {count(part['high'])}"), count_cell(part["count"]))
        for part in found.get("bins") or []
    ]
    tables = [
        pairs("Lengths in tokens", known),
        Table("Inputs by length", ("Tokens", "Inputs"), bins, folded=True),
    ]
    return Section(
        "lengths",
        "Lengths",
        warnings=_warnings(found),
        plots=["lengths"],
        tables=[table for table in tables if table.rows],
    )


def _warnings(found: Content) -> list[str]:
    cut, unknown = found.get("cut_tokens_share") or 0, found.get("unknown_tokens_share") or 0
    said = []
    if unknown > LOUD_SHARE:
        said.append(
            f"The tokenizer does not know {percent(unknown)} of the tokens: the model can't read them. "
            "Choose a model made for this language and kind of text."
        )
    if cut > LOUD_SHARE:
        said.append(f"{percent(cut)} of the tokens were cut off and never seen. Raise train.max_length.")
    return said


def notes(content: Content) -> Section | None:
    said = content.get("notes") or []
    return Section("notes", "Notes", said) if said else None


def data(content: Content, wording: Wording) -> Section | None:
    found = content.get("data") or {}
    parts, sources = found.get("parts") or {}, found.get("sources") or {}
    rows = [
        (Cell(name), count_cell((parts.get(name) or {}).get("rows")), Cell(plain(sources.get(name))))
        for name in dict.fromkeys([*parts, *sources])
    ]
    tables = [Table("Parts", ("Part", "Rows", "Source"), rows), *_classes(parts, wording)]
    return Section("data", "Data", tables=tables) if rows else None


def _classes(parts: Content, wording: Wording) -> list[Table]:
    """How often each class occurs in each part; none where the task has no classes, or all rows are of one kind."""
    counts = {name: part.get("classes") or {} for name, part in parts.items()}
    labels = list(dict.fromkeys(label for own in counts.values() for label in own))
    if len(labels) < wording.min_counts:
        return []
    rows = [[Cell(label), *(count_cell(own.get(label, 0)) for own in counts.values())] for label in labels]
    one = wording.class_names[0]
    caption, first = wording.counts or (f"Rows of each {one}", words(one))
    return [Table(caption, (first, *counts), rows, folded=len(rows) > MOST_CLASSES)]


def speed(content: Content) -> Section | None:
    found = content.get("train") or {}
    known = {name: form(found[key]) for key, (name, form) in COSTS.items() if found.get(key) is not None}
    return Section("speed", "Speed and memory", tables=[pairs("What it took", known)]) if known else None


def environment(content: Content) -> Section | None:
    known = {words(name): plain(value) for name, value in (content.get("environment") or {}).items()}
    return Section("environment", "Environment", tables=[pairs("Where it ran", known)]) if known else None


def recipe(content: Content) -> Section | None:
    text = content.get("recipe")
    return Section("recipe", "Recipe", codes=[("With every default filled in", text)]) if text else None


def repeat(content: Content) -> Section | None:
    command = content.get("command")
    if not command:
        return None
    known = {
        "Seed": seed(content),
        "Data fingerprint": (content.get("data") or {}).get("fingerprint"),
        "SHA-256 of the weights": content.get("weights_sha256"),
        "llmkit": content.get("llmkit"),
    }
    table = pairs("To compare with", {name: value for name, value in known.items() if value})
    line = "The same command on the same data, in the same environment and on the same kind of machine."
    tables = [table] if table.rows else []
    return Section("repeat", "How to repeat it", [line], tables=tables, codes=[("Command", command)])


def seed(content: Content) -> str | None:
    """The seed of the resolved recipe, as its YAML writes it."""
    found = re.search(r"^seed: *(\d+)", content.get("recipe") or "", re.MULTILINE)
    return found[1] if found else None
