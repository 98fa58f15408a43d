"""`llmkit score` scores files and equals `llmkit evaluate --predictions`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "predictions.txt").write_text("a b c\nd e f\n", encoding="utf-8")
    (tmp_path / "references.txt").write_text("a b c\nd e g\n", encoding="utf-8")
    return [
        "--predictions",
        str(tmp_path / "predictions.txt"),
        "--references",
        str(tmp_path / "references.txt"),
    ]


def test_score_equals_evaluate_with_predictions(command: Any, files: list[str]) -> None:
    scored = command("score", *files, "--metric", "bleu", "--metric", "rouge", "--json")
    evaluated = command("evaluate", *files, "--metric", "bleu", "--metric", "rouge", "--json")
    assert scored.code == 0
    assert json.loads(scored.out) == json.loads(evaluated.out)
    assert json.loads(scored.out)["n"] == 2


def test_table_shows_count_and_metric(command: Any, files: list[str]) -> None:
    outcome = command("score", *files, "--metric", "wer")
    assert outcome.code == 0
    assert "2 examples" in outcome.out
    assert "wer" in outcome.out


def test_missing_metric_is_a_one_line_error(command: Any, files: list[str]) -> None:
    outcome = command("score", *files)
    assert outcome.code == 2
    assert outcome.err.startswith("error[U01]") and "--metric" in outcome.err
    assert outcome.err.count("\n") == 1
