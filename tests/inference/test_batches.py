"""Micro-batches have padded ids and numeric labels, within the token budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmkit.data.encoding.encode import encode_texts
from llmkit.data.encoding.features import Encoded
from llmkit.engine import session as sessions
from llmkit.engine.batching import choose_token_budget
from llmkit.inference.batches import make_batches
from llmkit.models import load
from llmkit.recipe.schema import Train


@pytest.fixture
def encoded(tiny_bert: Path) -> tuple[Any, Encoded]:
    tokenizer = load.load_tokenizer(tiny_bert)
    features = encode_texts(tokenizer, ["a film", "a good film", "bad"], max_length=16, truncation=True)
    return tokenizer, Encoded.from_batches([(0, features)])


def test_token_budget_comes_from_the_recipe_or_the_device(encoded: tuple[Any, Encoded]) -> None:
    tokenizer, examples = encoded
    with sessions.start(seed=1, precision="fp32") as session:
        fixed = make_batches(session, examples, {}, tokenizer, Train(micro_batch_tokens=777))
        auto = make_batches(session, examples, {}, tokenizer, Train())
    assert fixed.budget == 777
    assert auto.budget == choose_token_budget("cpu")


def test_batch_has_padded_ids_and_numeric_labels_but_no_lists(encoded: tuple[Any, Encoded]) -> None:
    tokenizer, examples = encoded
    labels = np.array([3, 4, 5])
    lists = np.array([[1], [2, 3], []], dtype=object)
    with sessions.start(seed=1, precision="fp32") as session:
        batches = make_batches(session, examples, {"labels": labels, "spans": lists}, tokenizer, Train())
        batch = batches.fetch(np.array([2, 1]), None)
    assert batch["labels"].tolist() == [5, 4]
    assert "spans" not in batch
    assert batch["input_ids"].shape == (2, 5)  # [CLS] a good film [SEP]
    assert batch["attention_mask"].sum(1).tolist() == [3, 5]


def test_augmentation_seeds_depend_on_epoch_and_example(encoded: tuple[Any, Encoded]) -> None:
    tokenizer, examples = encoded
    seen = []

    class Augmenting:
        def augment(self, batch: dict[str, Any], seeds: Any) -> dict[str, Any]:
            seen.append(seeds.tolist())
            return batch

    with sessions.start(seed=1, precision="fp32") as session:
        batches = make_batches(session, examples, {}, tokenizer, Train(), Augmenting())  # type: ignore[arg-type]
        for epoch, indices in ((0, [0, 1]), (0, [1, 0]), (1, [0, 1])):
            batches.fetch(np.array(indices), epoch)
    assert seen[0] == seen[1][::-1]
    assert seen[0] != seen[2]
