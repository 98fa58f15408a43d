"""llmkit's metrics in the `evaluate` library: each loads offline from what is exported, and gives our values."""

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
def test_each_metric_loads_and_gives_our_values(name: str, tmp_path: Path) -> None:
    import evaluate

    predictions, references = EXAMPLES[ENTRIES[name].kind]
    loaded = evaluate.load(str(export(name, tmp_path)), keep_in_memory=True)
    expected = ENTRIES[name].score(predictions, references, MetricSettings())
    found = loaded.compute(predictions=predictions, references=references)
    assert {key: found[key] for key in expected} == {key: score.value for key, score in expected.items()}
    assert {f"{key}{end}" for key in ENTRIES[name].keys for end in ("", "_low", "_high")} == set(found)


def test_class_numbers_single_references_and_settings_are_taken(tmp_path: Path) -> None:
    import evaluate

    accuracy = evaluate.load(str(export("accuracy", tmp_path)), keep_in_memory=True)
    assert accuracy.compute(predictions=[1, 0], references=[1, 1])["accuracy"] == 0.5
    bleu = evaluate.load(str(export("bleu", tmp_path)), keep_in_memory=True)
    same = ["我喜欢这部电影", "天气很好我们去公园"]
    assert bleu.compute(predictions=same, references=same, tokenizer="zh")["bleu"] == pytest.approx(100)
    with pytest.raises(TypeError, match="stemmer"):
        bleu.compute(predictions=same, references=same, stemmer=True)


def test_ours_as_a_module_is_a_metric_again(tmp_path: Path) -> None:
    predictions, references = EXAMPLES["texts"]
    found = load_metric_module(str(export("chrf", tmp_path))).score(predictions, references, MetricSettings())
    assert (
        found["chrf"].value == ENTRIES["chrf"].score(predictions, references, MetricSettings())["chrf"].value
    )


def test_an_unknown_metric_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='did you mean "rouge"'):
        export("roug", tmp_path)
    assert list(tmp_path.iterdir()) == []
