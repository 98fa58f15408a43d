"""`llmkit metrics`: the list, one metric, and a metric for the `evaluate` library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmkit.metrics.registry import ENTRIES


def test_the_list_names_each_metric(command: Callable[..., Any]) -> None:
    done = command("metrics", "list")
    assert [line.split()[0] for line in done.out.splitlines()] == list(ENTRIES)
    assert set(command("metrics", "list", "--json").json["metrics"]) == set(ENTRIES)


def test_a_metric_says_what_it_compares(command: Callable[..., Any]) -> None:
    done = command("metrics", "show", "rouge")
    assert done.out.splitlines()[2:] == [
        "scores   rouge1, rouge2, rougeL, rougeLsum",
        "options  --language, --tokenizer, --stemmer",
    ]
    about = command("metrics", "show", "accuracy", "--json").json
    assert (about["kind"], about["keys"], about["options"]) == ("labels", ["accuracy"], [])


def test_an_unknown_metric_is_one_line(command: Callable[..., Any]) -> None:
    done = command("metrics", "show", "blue")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert 'did you mean "bleu"?' in done.err


def test_a_metric_is_written_for_the_evaluate_library(command: Callable[..., Any], tmp_path: Path) -> None:
    assert command("metrics", "export", "chrf++", "out").out == "written to out/chrf++\n"
    assert 'metric_class("chrf++")' in (tmp_path / "out/chrf++/chrf++.py").read_text(encoding="utf-8")
