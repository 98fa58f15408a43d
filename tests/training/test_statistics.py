"""Statistics in the report of a run agree with its data, its log and its model."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from llmkit.base.run import Run


def test_rows_and_classes_are_counted(finished: Any, reviews_jsonl: Path) -> None:
    data = finished.content["data"]
    assert {split: row["rows"] for split, row in data["parts"].items()} == {
        "train": 128,
        "validation": 16,
        "test": 16,
    }
    labels = Counter(json.loads(line)["label"] for line in reviews_jsonl.read_text().splitlines())
    counts: Counter[str] = sum((Counter(row["classes"]) for row in data["parts"].values()), Counter())
    assert counts == labels
    assert data["sources"]["train"] == str(reviews_jsonl)


def test_lengths_cover_all_examples(finished: Any) -> None:
    lengths = finished.content["lengths"]
    assert sum(row["count"] for row in lengths["bins"]) == 160
    assert lengths["bins"][-1]["high"] == lengths["longest"] <= lengths["max_length"] == 32
    assert (lengths["cut_examples"], lengths["cut_tokens_share"]) == (0, 0)


def test_curves_are_those_of_the_log(finished: Any) -> None:
    log = Run(finished.path).read_log()
    curves = finished.content["curves"]
    assert [row["loss"] for row in curves["steps"]] == [
        line["loss"] for line in log if line["kind"] == "step"
    ]
    evaluations = {line["step"]: line["accuracy"] for line in log if line["kind"] == "evaluation"}
    assert {row["step"]: row["accuracy"] for row in curves["evaluations"]} == evaluations
    assert evaluations[curves["best_step"]] == max(evaluations.values())


def test_training_figures_are_consistent(finished: Any) -> None:
    figures = finished.content["train"]
    weights = load_file(finished.path / "model" / "model.safetensors")
    assert figures["parameters"] == sum(value.numel() for value in weights.values())
    assert figures["trainable_parameters"] == figures["parameters"]
    assert (figures["steps"], figures["world_size"]) == (96, 1)
    assert figures["examples_per_second"] == pytest.approx(96 * 8 / figures["seconds"])
    assert 0.5 < figures["padding_efficiency"] <= 1
    assert figures["peak_memory_bytes"] > 50e6
