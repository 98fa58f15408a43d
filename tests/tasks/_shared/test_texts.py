"""Logits of the head, and splits without duplicates."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

from llmkit import tasks
from llmkit.base.errors import DataError
from llmkit.data.corpus import Corpus
from llmkit.recipe.schema import Data
from llmkit.tasks._shared.texts import compute_logits, make_splits


def test_the_model_does_not_get_the_labels() -> None:
    """With labels it would compute a loss of its own, a mean over the micro-batch."""
    seen: list[set[str]] = []

    class Watched(nn.Module):
        def forward(self, **inputs: Tensor) -> Any:
            seen.append(set(inputs))
            return SimpleNamespace(logits=torch.zeros(2, 3, dtype=torch.bfloat16))

    ids = torch.ones(2, 4, dtype=torch.long)
    batch = {"input_ids": ids, "attention_mask": ids, "token_type_ids": ids, "labels": ids[:, 0]}
    assert compute_logits(Watched(), batch).dtype == torch.float32
    assert seen == [{"input_ids", "attention_mask", "token_type_ids"}]


def test_segments_reach_the_model() -> None:
    torch.manual_seed(0)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        )
    ).eval()
    ids = torch.tensor([[2, 5, 3, 6, 3]])
    first = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "token_type_ids": torch.zeros_like(ids),
    }
    second = {**first, "token_type_ids": torch.tensor([[0, 0, 0, 1, 1]])}
    with torch.no_grad():
        assert torch.equal(compute_logits(model, second), model(**second).logits)
        assert not torch.equal(compute_logits(model, first), compute_logits(model, second))


def test_splits_are_made_without_duplicates(corpus_of: Callable[..., Corpus]) -> None:
    task = tasks.load({"name": "regression"})
    rows = [{"text": f"a film number {number}", "score": number} for number in range(40)]
    repeated = {"text": "A FILM number 1", "score": 3}
    corpus = corpus_of(task, train=rows, test=[{"text": "something else", "score": 1}, repeated])
    with pytest.raises(DataError, match="L13"):
        make_splits(corpus, ("text",), Data(), 1)
    corpus, notes = make_splits(corpus, ("text",), Data(duplicates="drop"), 1)
    assert {name: len(split) for name, split in corpus.splits.items()} == {
        "train": 35,
        "validation": 4,
        "test": 2,
    }
    assert len(notes) == 1
