"""The training loop: a generator of Step. Its caller logs, evaluates and saves between two steps.

One update: every process sums the loss and the gradient over its own micro-batches, the sums and counts are added
over all processes, and the gradient is divided once by the count of the whole update. So the update is the same
however it was cut (micro-batches, accumulation, processes). Three traps are avoided on purpose:
accelerate's `accumulate` divides the loss again, DDP averages gradients (hence times world_size), and a mean of means
weighs examples of short micro-batches more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from llmkit.engine.batching import Indices, deal, padded_tokens
from llmkit.engine.optim import Schedule
from llmkit.engine.session import Session
from llmkit.errors import Problem, TrainingError

__all__ = ["Batches", "Loss", "Step", "train"]

Loss = Callable[[nn.Module, dict[str, Tensor]], tuple[Tensor, Tensor]]  # (summed loss, count)


class _Update(Protocol):
    @property
    def step(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def indices(self) -> Indices: ...


@dataclass(frozen=True)
class Batches:
    """Where micro-batches come from: the length of each example (tokens), and a function that pads some of them.

    fetch gets their indices and the epoch, from 0; None for a prediction, which is no part of any epoch.
    """

    lengths: NDArray[np.int64]
    fetch: Callable[[Indices, int | None], dict[str, Tensor]]
    budget: int  # padded tokens in one micro-batch


@dataclass(frozen=True)
class Step:
    """One update, done. loss is nats per unit of count; tokens and examples are those of all processes."""

    step: int
    epoch: int
    loss: float
    grad_norm: float
    learning_rate: float
    examples: int
    tokens: int
    padded_tokens: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def train(
    session: Session,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    loss: Loss,
    updates: Iterator[_Update],
    *,
    schedule: Schedule,
    max_grad_norm: float | None,
) -> Iterator[Step]:
    """Run the updates one by one. model and optimizer are those that the session prepared.

    Raises TrainingError T01 before the weights change when a loss or gradient is not finite.
    """
    for update in updates:
        began = time.perf_counter()
        model.train()
        session.seed_update(update.step)
        rate = schedule.rate(update.step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        shares = deal(update.indices, batches.lengths, batches.budget, session.world_size)
        summed, count = _accumulate(session, model, batches, loss, shares[session.rank], update)
        norm = _divide_and_clip(session, model, optimizer, count, max_grad_norm)
        if not np.isfinite(summed) or (not np.isfinite(norm) and session.precision != "fp16"):
            raise _not_finite(update, summed / count, norm, rate)
        optimizer.step()
        optimizer.zero_grad()
        yield Step(
            step=update.step,
            epoch=update.epoch,
            loss=summed / count,
            grad_norm=norm,
            learning_rate=rate,
            examples=len(update.indices),
            tokens=int(batches.lengths[update.indices].sum()),
            padded_tokens=sum(padded_tokens(batch, batches.lengths) for share in shares for batch in share),
            seconds=time.perf_counter() - began,
        )


def _accumulate(
    session: Session, model: nn.Module, batches: Batches, loss: Loss, share: list[Indices], update: _Update
) -> tuple[float, float]:
    """Forward and backward over this process's micro-batches; the loss and count summed over all processes.

    A process without examples (fewer examples than processes) runs one with weight 0: DDP waits for its gradients.
    """
    weight = 1.0 if share else 0.0
    share = share or [update.indices[:1]]
    losses, counts = [], []
    for number, indices in enumerate(share):
        last = number == len(share) - 1
        with nullcontext() if last else session.accelerator.no_sync(model):
            summed, count = loss(model, session.to_device(batches.fetch(indices, update.epoch)))
            session.accelerator.backward(summed * weight)
        losses.append(summed.detach() * weight)
        counts.append(count.detach() * weight)
    local = torch.stack([torch.stack(losses), torch.stack(counts).to(losses[0])]).cpu().double().sum(1)
    total_loss, total_count = session.sum(local.tolist())
    return total_loss, total_count


def _divide_and_clip(
    session: Session, model: nn.Module, optimizer: torch.optim.Optimizer, count: float, most: float | None
) -> float:
    """Turn summed gradients into those of the mean loss, no longer than `most`; returns the norm before clipping."""
    session.accelerator.unscale_gradients(optimizer)  # does something under fp16 only
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    scale = session.world_size / count  # DDP has divided by the number of processes
    norm = float(nn.utils.get_total_norm(gradients)) * scale
    if most is not None and norm > most:
        scale *= most / norm
    torch._foreach_mul_(gradients, scale)
    return norm


def _not_finite(update: _Update, loss: float, norm: float, rate: float) -> TrainingError:
    what = f"the loss is {loss}" if not np.isfinite(loss) else f"the gradient's norm is {norm}"
    some = ", ".join(map(str, update.indices[:8])) + (", ..." if len(update.indices) > 8 else "")
    return TrainingError(
        Problem(
            "T01",
            f"step {update.step}",
            f"{what} (training examples {some}; learning rate {rate:.2g}); the weights are as before this update",
            "lower train.learning_rate or raise train.warmup_ratio, look at these examples, then --resume",
        )
    )
