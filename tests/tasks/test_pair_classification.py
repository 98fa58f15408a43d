"""Pair classification: duplicates, splits by the first text, and the loss of transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from llmkit.base.errors import DataError
from llmkit.data.corpus import Corpus
from llmkit.data.encoding.collate import collate
from llmkit.data.encoding.features import Encoded
from llmkit.metrics.resampling import Resampling
from llmkit.models import load
from llmkit.recipe.schema import Data
from llmkit.tasks.pair_classification import Options, make
from tests.float64 import in_float64
from tests.samples import rows

TASK = make(Options(), {})
DATA = Data(train="x")


def nli(count: int) -> list[dict[str, str]]:
    """Make three hypotheses per premise."""
    labels = ["contradiction", "entailment", "neutral"]
    return [
        {
            "text": f"premise {i // 3} of many",
            "text_pair": f"hypothesis {i} {i * i}",
            "label": labels[(i + i // 3) % 3],
        }
        for i in range(count)
    ]


def test_equal_premises_stay_in_one_split(corpus_of: Callable[..., Corpus]) -> None:
    examples = TASK.check(corpus_of(TASK, train=nli(90)), DATA, 1)
    premises = {name: set(split.column("text")) for name, split in examples.corpus.splits.items()}
    assert all(premises.values())
    assert not premises["train"] & premises["test"]
    assert not premises["train"] & premises["validation"]
    assert sum(map(len, examples.corpus.splits.values())) == 90


def test_only_equal_pairs_are_duplicates(corpus_of: Callable[..., Corpus]) -> None:
    known = nli(30)
    shared = {**known[0], "text_pair": "another hypothesis"}
    examples = TASK.check(corpus_of(TASK, train=known, test=[shared, *nli(60)[40:]]), DATA, 1)
    assert len(examples.corpus.splits["test"]) == 21
    with pytest.raises(DataError) as caught:
        TASK.check(corpus_of(TASK, train=known, test=[known[3], *nli(60)[40:]]), DATA, 1)
    assert [(error.code, error.place) for error in caught.value.details] == [("L13", "test.jsonl:1")]


def test_errors_of_either_text_are_raised(corpus_of: Callable[..., Corpus]) -> None:
    actual = nli(90)
    actual[3]["text_pair"] = " "
    actual[5]["text"] = ""
    with pytest.raises(DataError) as caught:
        TASK.check(corpus_of(TASK, train=actual), DATA, 1)
    errors = [(p.code, p.place, p.message) for p in caught.value.details]
    assert errors == [
        ("L03", "train.jsonl:6", '1 row with an empty or blank "text"'),
        ("L03", "train.jsonl:4", '1 row with an empty or blank "text_pair"'),
    ]
    left = TASK.check(corpus_of(TASK, train=actual), DATA.model_copy(update={"empty_text": "drop"}), 1)
    assert sum(map(len, left.corpus.splits.values())) == 88


def test_values_are_the_scores(echo: nn.Module, resampling: Resampling) -> None:
    rng = np.random.default_rng(0)
    references, labels = rng.integers(0, 2, 30), ("no", "yes")
    batch = {"input_ids": torch.from_numpy(rng.normal(size=(30, 2))), "labels": torch.from_numpy(references)}
    predictions = {name: value.numpy() for name, value in TASK.decode(echo, batch).items()}
    values = TASK.score({"labels": references}, predictions, labels, resampling=None).values
    sheet = TASK.score({"labels": references}, predictions, labels, resampling=resampling)
    assert set(values) == {"loss", *TASK.spec.metrics}
    assert values == pytest.approx({name: score.value for name, score in sheet.scores.items()}, abs=1e-12)


def test_records_and_worst_errors_have_both_texts(echo: nn.Module) -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    predictions = {name: value.numpy() for name, value in TASK.decode(echo, {"input_ids": logits}).items()}
    texts = {"text": ["a", "b"], "text_pair": ["c", "d"]}
    records = list(TASK.records(texts, predictions, ("no", "yes"), {"labels": np.array([1, 1])}))
    assert [(r["text"], r["text_pair"], r["label"], r["prediction"]) for r in records] == [
        ("a", "c", "yes", "no"),
        ("b", "d", "yes", "yes"),
    ]
    (worst,) = TASK.worst_errors([{"place": "x:1", **record} for record in records])
    assert (worst["text"], worst["text_pair"]) == ("a", "c")


def test_the_loss_equals_that_of_transformers(tiny_bert: Path) -> None:
    """On one micro-batch, the mean that the model itself computes with labels is right."""
    tokenizer = load.load_tokenizer(tiny_bert)
    actual = rows("pair_classification", 12)
    named: dict[str, list[Any]] = {name: [row[name] for row in actual] for name in actual[0]}
    references = {"labels": np.array([int(label == "yes") for label in named["label"]])}
    model = load.load_pretrained(
        tiny_bert,
        TASK.spec.auto_class,
        TASK.head(("no", "yes")).config,
        new_head=False,
        seed=1,
        tokenizer=tokenizer,
    ).eval()
    features = TASK.encode(named, references, tokenizer, max_length=48, truncation=False)
    batch: dict[str, Tensor] = collate(
        Encoded.from_batches([(0, features)]), np.arange(12), pad_token_id=0, scalars=references
    )
    model = in_float64(model)
    with torch.no_grad():
        total, count = TASK.loss(references, 2)(model, batch)
        assert (total / count).item() == pytest.approx(model(**batch).loss.item(), rel=1e-12)
        assert TASK.decode(model, batch)["loss"].mean().item() == pytest.approx(
            (total / count).item(), rel=1e-12
        )
