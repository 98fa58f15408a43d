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


def test_the_result_equals_that_of_evaluate(command: Any, files: list[str]) -> None:
    scored = command("score", *files, "--metric", "bleu", "--metric", "rouge", "--json")
    evaluated = command("evaluate", *files, "--metric", "bleu", "--metric", "rouge", "--json")
    assert scored.code == 0
    assert json.loads(scored.out) == json.loads(evaluated.out)
    assert json.loads(scored.out)["n"] == 2


def test_a_table_shows_value_interval_and_method(command: Any, files: list[str]) -> None:
    done = command("score", *files, "--metric", "wer")
    assert done.code == 0
    assert "2 examples" in done.out
    assert "wer" in done.out


def test_a_missing_metric_is_one_line(command: Any, files: list[str]) -> None:
    done = command("score", *files)
    assert done.code == 2
    assert done.err.startswith("error[U01]") and "--metric" in done.err
    assert done.err.count("\n") == 1
