"""Sections with single examples: errors, and samples of a language model."""

from __future__ import annotations

from dataclasses import replace

from llmkit.report.instances import errors, samples
from llmkit.report.report import Report, Sample


def test_errors_have_only_columns_with_values(report: Report) -> None:
    wrong = [{"text": "a", "label": "B-PER", "prediction": "O", "probability": None}]
    section = errors(replace(report, errors=wrong))
    assert section is not None
    assert list(section.tables[0].head) == ["Text", "Label", "Prediction"]


def test_samples_are_shown_with_their_temperature() -> None:
    assert samples(Report()) is None
    section = samples(Report(samples=[Sample("Once", " upon a time", 0.8)]))
    assert section is not None
    (table,) = section.tables
    assert table.caption.endswith("continued at temperature 0.800")
    assert [[cell.text for cell in row] for row in table.rows] == [["Once", " upon a time"]]
