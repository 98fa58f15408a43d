"""One update of the tiny BERT classifier, started by torchrun or alone; prints loss and gradient norm as JSON.

Usage: split_worker.py MODEL_FOLDER BUDGET [fault]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from llmkit.data.collate import collate
from llmkit.data.encode import Encoded, Ragged, TokenCounts
from llmkit.data.sampler import updates
from llmkit.engine import session as sessions
from llmkit.engine.optim import Schedule, adamw
from llmkit.engine.train import Batches, Loss, train
from llmkit.models.load import pretrained
from llmkit.tasks import load


def mean_of_means(loss: Loss) -> Loss:
    """The usual mistake: each micro-batch's mean, averaged."""

    def wrong(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        total, count = loss(model, batch)
        return total / count, torch.tensor(1.0)

    return wrong


def main(folder: Path, budgets: list[int], fault: str) -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(7)
    rows = [rng.integers(5, 50, size=size).tolist() for size in rng.integers(2, 40, size=24)]
    encoded = Encoded({"input_ids": Ragged.of(rows)}, TokenCounts())
    golds = {"labels": rng.integers(0, 2, size=24)}
    task = load("classification")
    figures = {}
    with sessions.start(seed=1, precision="fp32") as session:
        for budget in budgets:
            model = pretrained(folder, task.auto_class, labels=["a", "b"], new_head=False, seed=1)
            for module in model.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
            optimizer = adamw(model, 0.01)
            ready, ready_optimizer = session.accelerator.prepare(model, optimizer)
            loss = task.loss(task.Options(), golds, 2)
            if fault == "mean":
                loss = mean_of_means(loss)

            batches = Batches(
                encoded.lengths,
                lambda indices: collate(encoded, indices, pad_token_id=0, scalars=golds),
                budget,
            )
            steps = train(
                session,
                ready,
                ready_optimizer,
                batches,
                loss,
                updates(24, 24, 1, total=2),
                schedule=Schedule(1e-3, 2, 0, "constant"),
                max_grad_norm=1.0,
            )
            figures[str(budget)] = [[step.loss, step.grad_norm] for step in steps]
        if session.rank == 0:
            print(json.dumps({"world_size": session.world_size, "figures": figures}))


if __name__ == "__main__":
    main(
        Path(sys.argv[1]), [int(b) for b in sys.argv[2].split(",")], sys.argv[3] if len(sys.argv) > 3 else ""
    )
