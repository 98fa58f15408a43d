"""Pair regression: both texts are read and checked, and a baseline uses their common words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from llmkit.base.errors import DataError
from llmkit.data.corpus import Corpus
from llmkit.metrics.resampling import Resampling
from llmkit.models import load
from llmkit.recipe.schema import Data
from llmkit.tasks.pair_regression import Options, make
from tests.samples import predict_baselines

TASK = make(Options(), {})
DATA = Data(train="x")
WORDS = ["film", "story", "plot", "actor", "scene", "music"]


def similar(count: int) -> list[dict[str, object]]:
    """Make pairs whose score is the number of common words."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(count):
        common = int(rng.integers(0, 6))
        second = WORDS[:common] + [f"other{number}{i}" for i in range(6 - common)]
        made.append({"text": " ".join(WORDS) + f" {number}", "text_pair": " ".join(second), "score": common})
    return made


def test_both_texts_are_read_and_recorded() -> None:
    assert TASK.spec.columns == {"text": "text", "text_pair": "text_pair", "score": "score"}
    predictions = {"prediction": np.array([1.5], np.float32)}
    references = {"labels": np.array([3.8], np.float32)}
    (record,) = TASK.records({"text": ["a"], "text_pair": ["b"]}, predictions, (), references)
    assert record == {"text": "a", "text_pair": "b", "score": 3.8, "prediction": 1.5, "probability": None}
    (worst,) = TASK.worst_errors([{"place": "x:1", **record}])
    assert worst == {"text": "a", "text_pair": "b", "score": 3.8, "prediction": 1.5, "place": "x:1"}


def test_the_input_is_a_pair_of_the_tokenizer(tiny_bert: Path) -> None:
    tokenizer = load.load_tokenizer(tiny_bert)
    texts = {"text": ["a film"], "text_pair": ["the story"]}
    actual = TASK.encode(texts, {}, tokenizer, max_length=20, truncation=False)
    assert actual.columns["input_ids"] == [tokenizer("a film", "the story")["input_ids"]]


def test_errors_of_texts_and_numbers_are_raised_together(corpus_of: Callable[..., Corpus]) -> None:
    made = similar(30)
    made[2]["text_pair"] = " "
    made[4]["score"] = None
    with pytest.raises(DataError) as caught:
        TASK.check(corpus_of(TASK, train=made), DATA, 1)
    assert [(p.code, p.place) for p in caught.value.details] == [
        ("L03", "train.jsonl:3"),
        ("L04", "train.jsonl:5"),
    ]


def test_the_baselines_are_the_mean_and_word_overlap(
    corpus_of: Callable[..., Corpus], resampling: Resampling
) -> None:
    examples = TASK.check(corpus_of(TASK, train=similar(120)), DATA, 1)
    true = examples.references["test"]
    actual = predict_baselines(TASK, examples)
    assert set(actual) == {"mean", "overlap"}
    scores = TASK.score(true, actual["overlap"], (), resampling=resampling).scores
    assert scores["pearson"].value > 0.95
    assert scores["mse"].value < 0.5  # on the scale of the scores, not of the word overlap
    difference = TASK.difference(
        true, actual["overlap"], actual["mean"], "pearson", (), resampling=resampling
    )
    assert difference.low is not None and difference.low > 0
