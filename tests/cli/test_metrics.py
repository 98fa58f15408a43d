"""`llmkit metrics list | show | export`"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmkit.metrics.registry import ENTRIES


def test_list_names_every_metric(command: Callable[..., Any]) -> None:
    outcome = command("metrics", "list")
    assert [line.split()[0] for line in outcome.out.splitlines()] == list(ENTRIES)
    assert set(command("metrics", "list", "--json").json["metrics"]) == set(ENTRIES)


def test_show_describes_scores_and_options(command: Callable[..., Any]) -> None:
    outcome = command("metrics", "show", "rouge")
    assert outcome.out.splitlines()[2:] == [
        "scores   rouge1, rouge2, rougeL, rougeLsum",
        "options  --language, --tokenizer, --stemmer",
    ]
    about = command("metrics", "show", "accuracy", "--json").json
    assert (about["kind"], about["keys"], about["options"]) == ("labels", ["accuracy"], [])


def test_unknown_metric_is_a_one_line_error(command: Callable[..., Any]) -> None:
    outcome = command("metrics", "show", "blue")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert 'did you mean "bleu"?' in outcome.err


def test_export_writes_a_module_for_the_evaluate_library(command: Callable[..., Any], tmp_path: Path) -> None:
    assert command("metrics", "export", "chrf++", "out").out == "written to out/chrf++\n"
    assert 'metric_class("chrf++")' in (tmp_path / "out/chrf++/chrf++.py").read_text(encoding="utf-8")
