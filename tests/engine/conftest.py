"""Fixtures: a session of one process, and a classifier that trains in milliseconds, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from llmkit.engine import session as sessions
from llmkit.engine.session import Session
from llmkit.engine.train import Batches


@pytest.fixture
def session() -> Iterator[Session]:
    with sessions.start(seed=1, precision="fp32") as started:
        yield started


class Linear(nn.Module):
    """Classifies four numbers into two classes, with dropout on the input."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.dropout = nn.Dropout(0.5)
        self.layer = nn.Linear(4, 2, dtype=torch.float64)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, values: Tensor) -> Tensor:
        out: Tensor = self.layer(self.dropout(values))
        return out


@dataclass(frozen=True)
class Toy:
    """24 examples with lengths from 1 to 6, their batches and their loss."""

    batches: Batches
    values: Tensor
    labels: Tensor

    @staticmethod
    def loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        summed = nn.functional.cross_entropy(model(batch["values"]), batch["labels"], reduction="sum")
        return summed, torch.tensor(float(len(batch["labels"])))

    @staticmethod
    def decode(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"prediction": model(batch["values"]).argmax(-1), "values": batch["values"]}


@pytest.fixture
def toy() -> Toy:
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.normal(size=(24, 4)))
    labels = torch.from_numpy(rng.integers(0, 2, 24))

    def fetch(indices: Any, epoch: int | None) -> dict[str, Tensor]:
        return {"values": values[indices], "labels": labels[indices]}

    return Toy(Batches(rng.integers(1, 7, 24), fetch, 12), values, labels)


@pytest.fixture
def make_model() -> type[Linear]:
    return Linear
