"""Two texts as one input: what is a repeat, what stays together, and transformers' own loss as a witness."""

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
    """Three hypotheses for each premise."""
    labels = ["contradiction", "entailment", "neutral"]
    return [
        {
            "text": f"premise {i // 3} of many",
            "text_pair": f"hypothesis {i} {i * i}",
            "label": labels[(i + i // 3) % 3],
        }
        for i in range(count)
    ]


def test_a_premise_stays_in_one_part(corpus_of: Callable[..., Corpus]) -> None:
    examples = TASK.check(corpus_of(TASK, train=nli(90)), DATA, 1)
    premises = {name: set(part.column("text")) for name, part in examples.corpus.splits.items()}
    assert all(premises.values())
    assert not premises["train"] & premises["test"]
    assert not premises["train"] & premises["validation"]
    assert sum(map(len, examples.corpus.splits.values())) == 90


def test_only_both_texts_make_a_repeat(corpus_of: Callable[..., Corpus]) -> None:
    known = nli(30)
    shared = {**known[0], "text_pair": "another hypothesis"}
    examples = TASK.check(corpus_of(TASK, train=known, test=[shared, *nli(60)[40:]]), DATA, 1)
    assert len(examples.corpus.splits["test"]) == 21
    with pytest.raises(DataError) as caught:
        TASK.check(corpus_of(TASK, train=known, test=[known[3], *nli(60)[40:]]), DATA, 1)
    assert [(problem.code, problem.place) for problem in caught.value.details] == [("L13", "test.jsonl:1")]


def test_faults_of_either_text_are_told(corpus_of: Callable[..., Corpus]) -> None:
    found = nli(90)
    found[3]["text_pair"] = " "
    found[5]["text"] = ""
    with pytest.raises(DataError) as caught:
        TASK.check(corpus_of(TASK, train=found), DATA, 1)
    told = [(p.code, p.place, p.message) for p in caught.value.details]
    assert told == [
        ("L03", "train.jsonl:6", '1 row with an empty or blank "text"'),
        ("L03", "train.jsonl:4", '1 row with an empty or blank "text_pair"'),
    ]
    left = TASK.check(corpus_of(TASK, train=found), DATA.model_copy(update={"empty_text": "drop"}), 1)
    assert sum(map(len, left.corpus.splits.values())) == 88


def test_values_are_the_scores(given: nn.Module, resampling: Resampling) -> None:
    rng = np.random.default_rng(0)
    references, labels = rng.integers(0, 2, 30), ("no", "yes")
    batch = {"input_ids": torch.from_numpy(rng.normal(size=(30, 2))), "labels": torch.from_numpy(references)}
    predictions = {name: value.numpy() for name, value in TASK.decode(given, batch).items()}
    values = TASK.score({"labels": references}, predictions, labels, resampling=None).values
    sheet = TASK.score({"labels": references}, predictions, labels, resampling=resampling)
    assert set(values) == {"loss", *TASK.spec.metrics}
    assert values == pytest.approx({name: score.value for name, score in sheet.scores.items()}, abs=1e-12)


def test_records_and_mistakes_show_both_texts(given: nn.Module) -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    predictions = {name: value.numpy() for name, value in TASK.decode(given, {"input_ids": logits}).items()}
    texts = {"text": ["a", "b"], "text_pair": ["c", "d"]}
    records = list(TASK.records(texts, predictions, ("no", "yes"), {"labels": np.array([1, 1])}))
    assert [(r["text"], r["text_pair"], r["label"], r["prediction"]) for r in records] == [
        ("a", "c", "yes", "no"),
        ("b", "d", "yes", "yes"),
    ]
    (worst,) = TASK.worst_errors([{"place": "x:1", **record} for record in records])
    assert (worst["text"], worst["text_pair"]) == ("a", "c")


def test_the_loss_is_transformers_own(tiny_bert: Path) -> None:
    """On one micro-batch, where a mean is right: with labels the model gives its own."""
    tokenizer = load.load_tokenizer(tiny_bert)
    found = rows("pair_classification", 12)
    named: dict[str, list[Any]] = {name: [row[name] for row in found] for name in found[0]}
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
