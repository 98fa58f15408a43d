"""Single rows: the worst mistakes, and what a language model writes."""

from __future__ import annotations

from typing import Any

from llmkit.report.instances import errors, samples
from llmkit.report.wording import Wording


def test_errors_show_only_what_they_have(content: dict[str, Any]) -> None:
    wrong = [{"text": "a", "label": "B-PER", "prediction": "O", "probability": None}]
    assert list(errors(content | {"errors": wrong}, Wording()).tables[0].head) == [
        "Text",
        "Label",
        "Prediction",
    ]


def test_samples_are_shown_with_how_they_were_drawn() -> None:
    assert samples({}) is None
    drawn = [{"beginning": "Once", "text": " upon a time", "temperature": 0.8}]
    section = samples({"samples": drawn})
    assert section is not None
    (table,) = section.tables
    assert table.caption.endswith("(drawn at temperature 0.800)")
    assert [[cell.text for cell in row] for row in table.rows] == [["Once", " upon a time"]]
