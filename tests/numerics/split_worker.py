"""Train each recipe for two steps, alone or under torchrun, and print loss and gradient norm as JSON.

Usage: split_worker.py BUDGET,BUDGET,... RECIPE [RECIPE ...] [--mean-of-means]
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
    """Return a loss with a common bug: it averages the means of the micro-batches."""

    def averaged(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        total, count = loss(model, batch)
        return total / count, torch.tensor(1.0)

    return averaged


def measure(session: Session, prepared: Prepared, budget: int, *, wrong: bool) -> list[list[float]]:
    """Train for two steps and return [loss, gradient norm] of each.

    There is no dropout, and the model is in float64, where rounding is far below any bug.
    """
    model = in_float64(load_model(prepared, SILENT))
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout", None), float):  # the attention of T5 and BART
            module.dropout = 0.0
    optimizer = build_adamw(model, 0.01)
    encoded, references = prepared.encoded["train"], prepared.examples.references["train"]
    settings = prepared.recipe.train.model_copy(update={"micro_batch_tokens": budget})
    batches = make_batches(session, encoded, references, prepared.tokenizer, settings, prepared.task)
    loss = prepared.task.loss(references, len(prepared.examples.labels))
    trained, padding = adapt_for_training(session, prepared.recipe, model)
    steps = train(
        session,
        trained,
        session.accelerator.prepare_optimizer(optimizer),
        replace(batches, padding=padding),
        mean_of_means(loss) if wrong else loss,
        plan_steps(len(encoded), 24, 1, total=2),
        schedule=Schedule(1e-4, 2, 0, "constant"),
        max_grad_norm=1.0,
    )
    return [[step.loss, step.grad_norm] for step in steps]


def main(budgets: list[int], paths: list[str], *, wrong: bool) -> None:
    recipes = [load.load(path, (), task_names=tasks.names(), task_options=tasks.options) for path in paths]
    all_prepared = [prepare(recipe, SILENT) for recipe in recipes]
    with sessions.start(seed=1, precision="fp32") as session:
        figures = {
            path: {str(budget): measure(session, prepared, budget, wrong=wrong) for budget in budgets}
            for path, prepared in zip(paths, all_prepared, strict=True)
        }
        if session.rank == 0:
            print(json.dumps({"world_size": session.world_size, "figures": figures}))


if __name__ == "__main__":
    main(
        [int(budget) for budget in sys.argv[1].split(",")],
        [argument for argument in sys.argv[2:] if argument != "--mean-of-means"],
        wrong="--mean-of-means" in sys.argv,
    )
