"""`score_files` from Python; tests/cli covers file formats and values."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmkit.base.errors import UserError
from llmkit.commands.score import score_files
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.settings import MetricSettings


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    for name, text in (
        ("p.txt", "a cat sat on it\nso it ran\n"),
        ("r.txt", "the cat sat on it\nso it ran\n"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return str(tmp_path / "p.txt"), str(tmp_path / "r.txt")


def test_metrics_of_different_kinds_can_be_combined(pair: tuple[str, str]) -> None:
    result = score_files(pair[0], [pair[1]], ["accuracy", "chrf", "accuracy", "squad"])
    assert list(result["scores"]) == ["accuracy", "chrf", "exact_match", "f1"]
    assert result["scores"]["accuracy"]["value"] == 0.5
    assert result["scores"]["f1"]["value"] == 1  # SQuAD F1 ignores articles
    assert (result["n"], result["predictions"], result["references"]) == (2, pair[0], [pair[1]])


def test_confidence_can_be_set(pair: tuple[str, str]) -> None:
    result = score_files(
        pair[0], [pair[1]], ["accuracy"], settings=MetricSettings(resampling=Resampling(confidence=0.8))
    )
    assert result["scores"]["accuracy"]["method"] == "Wilson 80%"


def test_module_with_an_existing_score_name_is_an_error(pair: tuple[str, str], tmp_path: Path) -> None:
    from llmkit.commands.metric_export import export

    chrf = str(export("chrf", tmp_path))
    with pytest.raises(UserError, match=r"error\[E08\] --metric .*/chrf: its score \"chrf\""):
        score_files(pair[0], [pair[1]], ["chrf", chrf])
