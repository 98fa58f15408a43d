"""The LSTM baseline: embedding rows, padding, word order, initial bias and precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from llmkit.models.lstm_classifier import LstmClassifier, assign_embedding_rows
from tests.float64 import EXACT, in_float64


@pytest.fixture
def model() -> LstmClassifier:
    torch.manual_seed(0)
    return in_float64(LstmClassifier(np.arange(10), 3)).eval()


def test_tokens_seen_twice_have_their_own_embedding_and_all_others_share_one() -> None:
    rows = assign_embedding_rows(np.array([2, 5, 5, 7, 2, 2], np.int32), 9)
    assert rows.tolist() == [0, 0, 1, 0, 0, 2, 0, 0, 0]
    assert LstmClassifier(rows, 2).embedding.num_embeddings == 3
    assert LstmClassifier(assign_embedding_rows(np.array([1], np.int32), 4), 2).embedding.num_embeddings == 1


def test_padding_and_other_texts_of_the_batch_have_no_effect(model: LstmClassifier) -> None:
    ids = torch.tensor([[3, 4, 5, 0, 0], [1, 2, 3, 4, 5]])
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    together = model(ids, mask).logits
    alone = model(ids[:1, :3], mask[:1, :3]).logits
    torch.testing.assert_close(together[:1], alone, **EXACT)
    other = model(torch.where(mask == 0, 9, ids), mask).logits
    assert torch.equal(together, other)


def test_the_order_of_tokens_has_an_effect(model: LstmClassifier) -> None:
    mask = torch.ones(1, 3, dtype=torch.int64)
    forward, reversed_ = (model(torch.tensor([ids]), mask).logits for ids in ([1, 2, 3], [3, 2, 1]))
    assert not torch.allclose(forward, reversed_)


def test_the_initial_bias_is_that_of_the_head() -> None:
    model = LstmClassifier(np.arange(10), 2, bias=[1.5, -2.0])
    assert model.head.bias.tolist() == [1.5, -2.0]


def test_logits_are_computed_in_fp32_under_autocast(model: LstmClassifier) -> None:
    ids, mask = torch.tensor([[3, 4, 5]]), torch.ones(1, 3, dtype=torch.int64)
    plain = model.float()(ids, mask).logits
    assert plain.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model(ids, mask).logits, plain)
