"""Exported metrics load offline in the `evaluate` library and compute the same values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmkit.assets.metric_modules import load_metric_module
from llmkit.base.errors import UserError
from llmkit.commands.metric_export import export
from llmkit.metrics.registry import ENTRIES, Kind
from llmkit.metrics.settings import MetricSettings

EXAMPLES: dict[Kind, tuple[list[Any], list[Any]]] = {
    "labels": (["1", "0", "1", "1"], ["1", "0", "0", "1"]),
    "numbers": ([1.0, 2.5, 3.0, 1.0], [1.5, 2.0, 3.5, 0.0]),
    "texts": (
        ["a cat sat down", "the dog ran"],
        [["the cat sat down", "a cat sat"], ["the dog ran off", "a dog ran"]],
    ),
    "answers": (["the cat", "a dog"], [["cat"], ["dogs", "the big dog"]]),
    "tags": ([["B-PER", "O"], ["O"]], [["B-PER", "I-PER"], ["B-LOC"]]),
    "log_probabilities": ([[-1.0, -0.5], [-2.0]], ["ab cd", "好"]),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_exported_metric_computes_the_same_values(name: str, tmp_path: Path) -> None:
    import evaluate

    predictions, references = EXAMPLES[ENTRIES[name].kind]
    loaded = evaluate.load(str(export(name, tmp_path)), keep_in_memory=True)
    expected = ENTRIES[name].score(predictions, references, MetricSettings())
    scores = loaded.compute(predictions=predictions, references=references)
    assert {key: scores[key] for key in expected} == {key: score.value for key, score in expected.items()}
    assert {f"{key}{end}" for key in ENTRIES[name].keys for end in ("", "_low", "_high")} == set(scores)


def test_class_numbers_single_references_and_settings_are_accepted(tmp_path: Path) -> None:
    import evaluate

    accuracy = evaluate.load(str(export("accuracy", tmp_path)), keep_in_memory=True)
    assert accuracy.compute(predictions=[1, 0], references=[1, 1])["accuracy"] == 0.5
    bleu = evaluate.load(str(export("bleu", tmp_path)), keep_in_memory=True)
    texts = ["我喜欢这部电影", "天气很好我们去公园"]
    assert bleu.compute(predictions=texts, references=texts, tokenizer="zh")["bleu"] == pytest.approx(100)
    with pytest.raises(TypeError, match="stemmer"):
        bleu.compute(predictions=texts, references=texts, stemmer=True)


def test_exported_metric_can_be_loaded_by_llmkit(tmp_path: Path) -> None:
    predictions, references = EXAMPLES["texts"]
    scores = load_metric_module(str(export("chrf", tmp_path))).score(
        predictions, references, MetricSettings()
    )
    assert (
        scores["chrf"].value == ENTRIES["chrf"].score(predictions, references, MetricSettings())["chrf"].value
    )


def test_unknown_metric_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='did you mean "rouge"'):
        export("roug", tmp_path)
    assert list(tmp_path.iterdir()) == []
