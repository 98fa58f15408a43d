"""Sections that show single examples: generated samples, and the most instructive errors."""

from __future__ import annotations

from llmkit.report.format import MISSING, number, shorten
from llmkit.report.report import Report
from llmkit.report.tables import Cell, Section, Table, number_cell

__all__ = ["errors", "samples"]

MAX_CHARACTERS = 600  # of a text that is shown
WIDE = 24  # characters of a label above which its column is wide
COLUMNS = {  # columns of the table of errors by field of a record; a table has those that its records have
    "text": "Text",
    "text_pair": "Second text",
    "question": "Question",
    "score": "Reference",
    "label": "Label",
    "prediction": "Prediction",
    "probability": "Probability",
    "verdict": "Outcome",
    "place": "Place",
}


def samples(report: Report) -> Section | None:
    """Make the section with texts that a language model generated."""
    if not report.samples:
        return None
    rows = [(Cell(sample.beginning), Cell(sample.text, wide=True)) for sample in report.samples]
    temperature = number(report.samples[0].temperature)
    caption = f"Beginnings of examples outside the training set, continued at temperature {temperature}"
    return Section("samples", "Samples", tables=[Table(caption, ("Beginning", "Generated text"), rows)])


def errors(report: Report) -> Section | None:
    """Make the section with the most instructive errors."""
    if not report.errors:
        return None
    filled = {name for record in report.errors for name, value in record.items() if value is not None}
    names = [name for name in COLUMNS if name in filled]
    rows = [[_make_cell(name, record.get(name)) for name in names] for record in report.errors]
    title, caption = report.wording.errors
    heads = {**COLUMNS, **report.wording.error_columns}
    return Section("errors", title, tables=[Table(caption, [heads[name] for name in names], rows)])


def _make_cell(name: str, value: object) -> Cell:
    if isinstance(value, float) or (value is None and name == "probability"):
        return number_cell(value)
    text = MISSING if value is None else shorten(str(value), MAX_CHARACTERS)
    if name == "place":
        return Cell(text, path=True)
    return Cell(text, wide=name in ("text", "text_pair", "question") or len(text) > WIDE)
