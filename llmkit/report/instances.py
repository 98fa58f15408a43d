"""The chapters that show single rows: what a language model writes, and the worst mistakes."""

from __future__ import annotations

from typing import Any

from llmkit.report.format import MISSING, number, shorten
from llmkit.report.tables import Cell, Content, Section, Table, number_cell
from llmkit.report.wording import Wording

__all__ = ["errors", "samples"]

LONGEST_TEXT = 600  # characters of an example shown
LONG = 24  # characters of a label from which its column is made wide
COLUMNS = {  # of the table of mistakes, in reading order; each report shows those that its task has
    "text": "Text",
    "text_pair": "Second text",
    "question": "Question",
    "score": "Score in the data",
    "label": "Label",
    "prediction": "Prediction",
    "probability": "Probability",
    "verdict": "Outcome",
    "place": "Place",
}


def samples(content: Content) -> Section | None:
    found = content.get("samples") or []
    rows = [(Cell(one["beginning"]), Cell(one["text"], wide=True)) for one in found]
    caption = "Beginnings of rows that it was not trained on, and what it goes on with"
    if found:
        caption += f" (drawn at temperature {number(found[0]['temperature'])})"
    table = Table(caption, ("Beginning", "Written by the model"), rows)
    return Section("samples", "What it writes", tables=[table]) if rows else None


def errors(content: Content, wording: Wording) -> Section | None:
    errors = content.get("errors") or []
    known = {name for error in errors for name, value in error.items() if value is not None}
    names = [name for name in COLUMNS if name in known]
    rows = [[_error_cell(name, error.get(name)) for name in names] for error in errors]
    title, caption = wording.errors
    heads = {**COLUMNS, **wording.error_columns}
    table = Table(caption, [heads[name] for name in names], rows)
    return Section("errors", title, tables=[table]) if rows else None


def _error_cell(name: str, value: Any) -> Cell:
    if name == "probability" or isinstance(value, float):
        return number_cell(value)
    text = MISSING if value is None else shorten(str(value), LONGEST_TEXT)
    if name == "place":
        return Cell(text, path=True)
    return Cell(text, wide=name in ("text", "text_pair", "question") or len(text) > LONG)
