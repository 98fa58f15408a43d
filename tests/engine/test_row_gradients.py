"""Sparse embedding gradients give the same sums and weight updates as dense ones, and nothing leaks between steps."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from llmkit.engine import row_gradients
from llmkit.engine.optim import build_adamw
from llmkit.engine.row_gradients import RowGradients, enable_sparse_gradients, get_gradient_values
from tests.float64 import EXACT


class Bag(nn.Module):
    """A classifier over mean embeddings, with the accessor methods of a transformers model."""

    def __init__(self, rows: int = 5000) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.embeddings = nn.Embedding(rows, 8, padding_idx=0, dtype=torch.float64)
        self.head = nn.Linear(8, 2, dtype=torch.float64)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embeddings

    def get_output_embeddings(self) -> None:
        return None

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.embeddings(ids).mean(1))


def train_bag(model: Bag, steps: int = 4) -> list[torch.Tensor]:
    """Train for some steps of two micro-batches each, with scaled gradients, and return the parameters."""
    optimizer, rows = build_adamw(model, 0.1), RowGradients()
    generator = torch.Generator().manual_seed(3)
    for group in optimizer.param_groups:
        group["lr"] = 0.01
    for _ in range(steps):
        for _ in range(2):
            ids = torch.randint(0, 200, (6, 9), generator=generator)
            nn.functional.cross_entropy(model(ids), torch.tensor([0, 1] * 3)).backward()
        gradients = [get_gradient_values(p) for p in model.parameters()]
        torch._foreach_mul_(gradients, 0.5)
        with rows.densify(model):
            optimizer.step()
        optimizer.zero_grad()
    return list(model.parameters())


def test_weight_updates_equal_those_of_dense_gradients() -> None:
    plain, sparse = Bag(), Bag()
    enable_sparse_gradients(sparse)
    assert sparse.embeddings.sparse
    for expected, actual in zip(train_bag(plain), train_bag(sparse), strict=True):
        assert torch.allclose(actual, expected, **EXACT)
    assert not torch.equal(plain.embeddings.weight, Bag().embeddings.weight)


def test_gradients_of_a_row_read_twice_are_added_before_the_norm() -> None:
    dense, sparse = Bag(), Bag()
    enable_sparse_gradients(sparse)
    ids = torch.tensor([[7, 7, 9, 0]])
    for model in (dense, sparse):
        model(ids)[0, 0].backward()
        model(ids)[0, 1].backward()
    rows = get_gradient_values(sparse.embeddings.weight)
    assert rows.shape == (2, 8)  # 7 and 9; 0 is padding
    assert torch.allclose(rows.norm(), get_gradient_values(dense.embeddings.weight).norm(), **EXACT)


def test_gradients_of_one_step_are_cleared_before_the_next() -> None:
    model, rows = Bag(), RowGradients()
    enable_sparse_gradients(model)
    seen = []
    for number in (7, 9):
        model(torch.tensor([[number]])).sum().backward()
        get_gradient_values(model.embeddings.weight)
        with rows.densify(model):
            grad: Any = model.embeddings.weight.grad
            seen.append(grad.any(1).nonzero().flatten().tolist())
        model.zero_grad()
    assert seen == [[7], [9]]


@pytest.mark.parametrize("change", ["small", "frozen", "tied"])
def test_small_frozen_and_tied_embeddings_keep_dense_gradients(
    change: str, tiny_gpt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = Bag(rows=50 if change == "small" else 5000)
    if change == "frozen":
        model.embeddings.weight.requires_grad = False
    if change == "tied":
        monkeypatch.setattr(row_gradients, "MIN_ROWS", 1)
        model = AutoModelForCausalLM.from_pretrained(tiny_gpt)
    enable_sparse_gradients(model)
    assert not model.get_input_embeddings().sparse


def test_sparse_gradients_of_a_bert_equal_its_dense_gradients(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = AutoModelForSequenceClassification.from_pretrained(tiny_bert)
    plain = copy.deepcopy(model)
    monkeypatch.setattr(row_gradients, "MIN_ROWS", 40)
    enable_sparse_gradients(model)
    ids = torch.tensor([[2, 5, 5, 7, 3]])
    for each in (model, plain):
        each.eval()(input_ids=ids).logits[0, 0].backward()
    name = "bert.embeddings.word_embeddings.weight"
    sparse, dense = (dict(each.named_parameters())[name].grad for each in (model, plain))
    assert sparse.is_sparse
    assert torch.allclose(sparse.to_dense(), dense, atol=1e-9)
