"""The training loop: a generator of Step. Its caller logs, evaluates and saves between two steps.

In a step, every process sums the loss and the gradient over its own micro-batches. Then sums and counts are added over
all processes, once, and the gradient is divided by the count of the whole step. The step is therefore the same however
its examples are split over micro-batches and processes. The processes may have different numbers of micro-batches:
they meet only at the end of the step, where they also exchange failures. If one of them runs out of memory, all of
them repeat the step with smaller micro-batches.

The processes of a sharded model (`engine.sharding`) meet in every forward and backward pass. A process with fewer
micro-batches than another fills up with passes over the shortest example of the step, multiplied by zero, and running
out of memory ends the run.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from llmkit.base.errors import TrainingError
from llmkit.engine.batching import Indices, count_computed_tokens, distribute
from llmkit.engine.optim import Schedule
from llmkit.engine.row_gradients import RowGradients, get_gradient_values
from llmkit.engine.session import Session
from llmkit.engine.sharding import get_local_rows, is_sharded

__all__ = ["Batches", "Loss", "Step", "train"]

Loss = Callable[[nn.Module, dict[str, Tensor]], tuple[Tensor, Tensor]]  # (summed loss, count)


class _PlannedStep(Protocol):
    """A step to run: its number from 1, its epoch from 0, and its examples (`data.sampler.PlannedStep`)."""

    @property
    def step(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def indices(self) -> Indices: ...


@dataclass(frozen=True)
class Batches:
    """The source of micro-batches.

    Attributes:
        lengths: The number of tokens of each example.
        fetch: Returns a padded micro-batch for example indices and an epoch, counted from 0; the epoch is None for
            predictions.
        budget: The largest number of tokens in a micro-batch, including padding if the model computes it.
        padding: Whether the model computes padding.
    """

    lengths: NDArray[np.int64]
    fetch: Callable[[Indices, int | None], dict[str, Tensor]]
    budget: int
    padding: bool = True


@dataclass(frozen=True)
class _Assignment:
    """The work of one process in a step: its micro-batches, then passes over `filler` that count nothing."""

    micro_batches: list[Indices]
    filler: Indices
    filler_passes: int = 0

    @classmethod
    def of(
        cls, assigned: list[list[Indices]], rank: int, lengths: NDArray[np.int64], *, in_lockstep: bool
    ) -> _Assignment:
        """Take the micro-batches of `rank`. in_lockstep: all processes must run the same number of forward passes."""
        micro_batches = assigned[rank]
        examples = np.concatenate([batch for batches in assigned for batch in batches])
        shortest = examples[[np.argmin(lengths[examples])]]
        passes = max(map(len, assigned)) - len(micro_batches) if in_lockstep else 0
        return cls(micro_batches, shortest, passes)


@dataclass(frozen=True)
class _Sums:
    """Loss and count summed over micro-batches.

    Attributes:
        loss: The summed loss.
        count: What to divide the loss by.
        not_finite: The examples of this process's micro-batches whose loss is not finite.
        out_of_memory: A process ran out of memory and stopped early.
    """

    loss: float = 0.0
    count: float = 0.0
    not_finite: tuple[int, ...] = ()
    out_of_memory: bool = False


@dataclass(frozen=True)
class Step:
    """Figures of a finished step, over all processes.

    Attributes:
        step: The number of the step in the run, from 1.
        epoch: The epoch, from 0.
        loss: Nats per unit of count.
        grad_norm: The norm of the gradient before clipping.
        learning_rate: The learning rate of this step.
        examples: The number of examples.
        tokens: The number of their tokens.
        padded_tokens: The number of tokens computed for them, with padding if the model computes it.
        micro_batch_tokens: The token budget of the micro-batches, lower than the recipe's after running out of memory.
        seconds: The duration of the step.
    """

    step: int
    epoch: int
    loss: float
    grad_norm: float
    learning_rate: float
    examples: int
    tokens: int
    padded_tokens: int
    micro_batch_tokens: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the step as a line of the log."""
        return asdict(self)


def train(
    session: Session,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    loss: Loss,
    plan: Iterator[_PlannedStep],
    *,
    schedule: Schedule,
    max_grad_norm: float | None,
    note: Callable[[str], None] = lambda _: None,
) -> Iterator[Step]:
    """Run the planned steps one by one and yield each when it is done.

    Args:
        session: The distributed session.
        model: The model, on this process's device.
        optimizer: The optimizer, prepared by the session's accelerator.
        batches: The training examples.
        loss: Computes the summed loss and the count of a micro-batch.
        plan: The examples of each step.
        schedule: The learning rate.
        max_grad_norm: The norm to clip gradients to; None: no clipping.
        note: Receives a message when the micro-batches become smaller.

    Raises:
        TrainingError: Before the weights change. T01: the loss or the gradient is not finite; T02: a single example
            (of a sharded model: a micro-batch) does not fit into memory; T03: the step has no token to learn.
    """
    budget, sharded, rows = batches.budget, is_sharded(model), RowGradients()
    for planned in plan:
        began = time.perf_counter()
        model.train()
        rate = schedule.learning_rate(planned.step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        while True:
            assigned = distribute(
                planned.indices, batches.lengths, budget, session.world_size, padding=batches.padding
            )
            assignment = _Assignment.of(assigned, session.rank, batches.lengths, in_lockstep=sharded)
            sums = _sum_over_processes(
                session, _accumulate(session, model, batches, loss, assignment, planned)
            )
            if not sums.out_of_memory:
                break
            optimizer.zero_grad()
            budget = _halve_budget(session, budget, planned, assigned, note)
        if not sums.count:
            raise TrainingError(
                "T03",
                f"step {planned.step}",
                f"none of its {len(planned.indices)} examples has a token to learn",
                "raise train.batch_size, or remove the examples without an answer",
            )
        if not sharded:
            session.sum_gradients(model)
        norm = _divide_and_clip(session, model, optimizer, sums.count, max_grad_norm)
        if not np.isfinite(sums.loss) or (not np.isfinite(norm) and session.precision != "fp16"):
            raise _not_finite_error(session, planned, sums, norm, rate)
        with rows.densify(model):
            optimizer.step()
        optimizer.zero_grad()
        yield Step(
            step=planned.step,
            epoch=planned.epoch,
            loss=sums.loss / sums.count,
            grad_norm=norm,
            learning_rate=rate,
            examples=len(planned.indices),
            tokens=int(batches.lengths[planned.indices].sum()),
            padded_tokens=sum(
                count_computed_tokens(batch, batches.lengths, batches.padding)
                for micro_batches in assigned
                for batch in micro_batches
            ),
            micro_batch_tokens=budget,
            seconds=time.perf_counter() - began,
        )


def _accumulate(
    session: Session,
    model: nn.Module,
    batches: Batches,
    loss: Loss,
    assignment: _Assignment,
    planned: _PlannedStep,
) -> _Sums:
    """Run forward and backward passes over this process's micro-batches, if it has any. Raises TrainingError T02."""
    session.seed_step(planned.step)
    losses, counts = [], []
    passes = [*assignment.micro_batches, *[assignment.filler] * assignment.filler_passes]
    try:
        for number, indices in enumerate(passes):
            counted = number < len(assignment.micro_batches)
            batch = session.to_device(batches.fetch(indices, planned.epoch))
            with session.accelerator.autocast():
                summed, count = loss(model, batch)
            session.accelerator.backward(summed if counted else summed * 0)
            if counted:
                losses.append(summed.detach())
                counts.append(count.detach())
    except (RuntimeError, MemoryError) as error:
        # The CPU's allocator raises a plain RuntimeError.
        is_memory_error = isinstance(error, (torch.OutOfMemoryError, MemoryError))
        if not is_memory_error and "not enough memory" not in str(error):
            raise
        if is_sharded(model):
            # The other processes wait inside a pass, where they cannot be notified; the launcher ends them.
            raise TrainingError(
                "T02",
                f"step {planned.step}",
                f"process {session.rank} ran out of memory, and a sharded model cannot repeat the step",
                "lower train.micro_batch_tokens or set train.gradient_checkpointing=true, with another --out",
            ) from error
        return _Sums(out_of_memory=True)
    if not losses:
        return _Sums()
    values = torch.stack(losses).cpu().double().numpy()
    not_finite = [
        batch for batch, value in zip(assignment.micro_batches, values, strict=True) if not np.isfinite(value)
    ]
    return _Sums(
        float(values.sum()),
        float(torch.stack(counts).cpu().double().sum()),
        tuple(int(index) for batch in not_finite for index in batch),
    )


def _sum_over_processes(session: Session, local: _Sums) -> _Sums:
    """Add up loss, count and memory failures of all processes; keep this process's examples that are not finite."""
    loss, count, failed = session.sum([local.loss, local.count, float(local.out_of_memory)])
    return _Sums(loss, count, local.not_finite, failed > 0)


def _halve_budget(
    session: Session,
    budget: int,
    planned: _PlannedStep,
    assigned: list[list[Indices]],
    note: Callable[[str], None],
) -> int:
    """Free the memory of the failed attempt and return half the token budget. Raises TrainingError T02."""
    gc.collect()
    if session.device.type != "cpu":
        torch.accelerator.empty_cache()
    if all(len(batch) == 1 for micro_batches in assigned for batch in micro_batches):
        raise TrainingError(
            "T02",
            f"step {planned.step}",
            "a single example does not fit into memory; this step did not change the weights",
            "lower train.max_length, or set train.gradient_checkpointing=true or model.lora",
        )
    note(
        f"step {planned.step}: out of memory with micro-batches of {budget} tokens; continuing with {budget // 2}"
    )
    return budget // 2


def _divide_and_clip(
    session: Session, model: nn.Module, optimizer: torch.optim.Optimizer, count: float, max_norm: float | None
) -> float:
    """Divide the summed gradients by `count`, clip them to `max_norm`, and return the norm before clipping."""
    session.accelerator.unscale_gradients(optimizer)  # has an effect only under fp16
    gradients = [get_local_rows(get_gradient_values(p)) for p in model.parameters() if p.grad is not None]
    scale = 1 / count
    if all(gradient.device.type == "cpu" for gradient in gradients):
        # On a CPU a dot product takes half the time of torch's norm and is more accurate.
        flat = [gradient.flatten() for gradient in gradients]
        norm = math.sqrt(sum(float(torch.dot(gradient, gradient)) for gradient in flat)) * scale
    else:
        norm = float(nn.utils.get_total_norm(gradients)) * scale
    if is_sharded(model):  # so far the norm of this process's rows
        norm = math.sqrt(session.sum([norm**2])[0])
    if max_norm is not None and norm > max_norm:
        scale *= max_norm / norm
    torch._foreach_mul_(gradients, scale)
    return norm


def _not_finite_error(
    session: Session, planned: _PlannedStep, sums: _Sums, norm: float, rate: float
) -> TrainingError:
    loss = sums.loss / sums.count
    problem = f"the loss is {loss}" if not np.isfinite(loss) else f"the gradient's norm is {norm}"
    not_finite = [index for indices in session.gather(sums.not_finite) for index in indices]
    examples = not_finite or planned.indices.tolist()
    shown = ", ".join(map(str, examples[:8])) + (", ..." if len(examples) > 8 else "")
    return TrainingError(
        "T01",
        f"step {planned.step}",
        f"{problem} (training examples {shown}; learning rate {rate:.2g}); this step did not change the weights",
        "lower train.learning_rate or raise train.warmup_ratio, look at these examples, then --resume",
    )
