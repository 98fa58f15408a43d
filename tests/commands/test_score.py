"""Files scored from Python; the files and the values themselves are tested through the command line."""

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


def test_several_metrics_of_several_kinds_read_the_files_once(pair: tuple[str, str]) -> None:
    found = score_files(pair[0], [pair[1]], ["accuracy", "chrf", "accuracy", "squad"])
    assert list(found["scores"]) == ["accuracy", "chrf", "exact_match", "f1"]
    assert found["scores"]["accuracy"]["value"] == 0.5
    assert found["scores"]["f1"]["value"] == 1  # its rules leave out "the" and "a"
    assert (found["n"], found["predictions"], found["references"]) == (2, pair[0], [pair[1]])


def test_the_confidence_is_ones_own(pair: tuple[str, str]) -> None:
    found = score_files(
        pair[0], [pair[1]], ["accuracy"], settings=MetricSettings(resampling=Resampling(confidence=0.8))
    )
    assert found["scores"]["accuracy"]["method"] == "Wilson 80%"


def test_a_module_may_not_hide_a_score(pair: tuple[str, str], tmp_path: Path) -> None:
    from llmkit.commands.metric_export import export

    chrf = str(export("chrf", tmp_path))
    with pytest.raises(UserError, match=r"error\[E08\] --metric .*/chrf: its score \"chrf\""):
        score_files(pair[0], [pair[1]], ["chrf", chrf])
