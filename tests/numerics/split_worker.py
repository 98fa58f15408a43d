"""Two updates of each recipe, started by torchrun or alone; prints loss and gradient norm as JSON.

Usage: split_worker.py BUDGET,BUDGET,... RECIPE [RECIPE ...] [--fault]
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import torch

from llmkit import tasks
from llmkit.base.progress import SILENT
from llmkit.data.sampler import plan_steps
from llmkit.engine import session as sessions
from llmkit.engine.optim import Schedule, build_adamw
from llmkit.engine.session import Session
from llmkit.engine.train import Loss, train
from llmkit.inference.batches import make_batches
from llmkit.recipe import load
from llmkit.training.loop import adapt_for_training
from llmkit.training.model import load_model
from llmkit.training.prepare import Prepared, prepare
from tests.float64 import in_float64


def mean_of_means(loss: Loss) -> Loss:
    """The usual mistake: each micro-batch's mean, averaged."""

    def wrong(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        total, count = loss(model, batch)
        return total / count, torch.tensor(1.0)

    return wrong


def figures(session: Session, prepared: Prepared, budget: int, *, fault: bool) -> list[list[float]]:
    """[loss, gradient norm] of each update, without dropout and in float64, where rounding is far below any mistake."""
    model = in_float64(load_model(prepared, SILENT))
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(
            getattr(module, "dropout", None), float
        ):  # by a function (the attention of T5 and BART)
            module.dropout = 0.0
    optimizer = build_adamw(model, 0.01)
    encoded, golds = prepared.encoded["train"], prepared.examples.golds["train"]
    settings = prepared.recipe.train.model_copy(update={"micro_batch_tokens": budget})
    batches = make_batches(session, encoded, golds, prepared.tokenizer, settings, prepared.task)
    loss = prepared.task.loss(golds, len(prepared.examples.labels))
    trained, padding = adapt_for_training(session, prepared.recipe, model)
    steps = train(
        session,
        trained,
        session.accelerator.prepare_optimizer(optimizer),
        replace(batches, padding=padding),
        mean_of_means(loss) if fault else loss,
        plan_steps(len(encoded), 24, 1, total=2),
        schedule=Schedule(1e-4, 2, 0, "constant"),
        max_grad_norm=1.0,
    )
    return [[step.loss, step.grad_norm] for step in steps]


def main(budgets: list[int], paths: list[str], *, fault: bool) -> None:
    torch.set_num_threads(1)
    recipes = [load.load(path, (), task_names=tasks.names(), task_options=tasks.options) for path in paths]
    all_prepared = [prepare(recipe, SILENT) for recipe in recipes]
    with sessions.start(seed=1, precision="fp32") as session:
        found = {
            path: {str(budget): figures(session, prepared, budget, fault=fault) for budget in budgets}
            for path, prepared in zip(paths, all_prepared, strict=True)
        }
        if session.rank == 0:
            print(json.dumps({"world_size": session.world_size, "figures": found}))


if __name__ == "__main__":
    main(
        [int(budget) for budget in sys.argv[1].split(",")],
        [argument for argument in sys.argv[2:] if argument != "--fault"],
        fault="--fault" in sys.argv,
    )
