"""The training loop: a generator of Step. Its caller logs, evaluates and saves between two steps.

One update: every process sums the loss and the gradient over its own micro-batches; then sums and counts are added
over all processes, once, and the gradient is divided by the count of the whole update. So the update is the same
however it was cut (micro-batches, accumulation, processes), and processes may have different numbers of
micro-batches: they meet only at its end, where they also agree on what went wrong. Out of memory on one of them means
smaller micro-batches on all, and the update is made again.

A sharded model (`engine.sharding`) makes the processes meet in every forward and backward pass. There a process with
fewer micro-batches than another runs the shortest example of the update in their place, times zero; and out of memory
ends the run.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
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
    budget: int  # tokens in one micro-batch, padded ones included if the model computes them
    padding: bool = True  # whether it does


@dataclass(frozen=True)
class _Share:
    """One process's part of an update: its micro-batches, and after them passes over `filler` that count nothing."""

    micro_batches: list[Indices]
    filler: Indices
    passes: int = 0

    @classmethod
    def of(
        cls, shares: list[list[Indices]], rank: int, lengths: NDArray[np.int64], *, in_step: bool
    ) -> _Share:
        """in_step: all processes run equally many forward passes."""
        own = shares[rank]
        every = np.concatenate([batch for share in shares for batch in share])
        shortest = every[[np.argmin(lengths[every])]]
        return cls(own, shortest, max(map(len, shares)) - len(own) if in_step else 0)


@dataclass(frozen=True)
class _Sums:
    """What one process found in its micro-batches of an update; no_memory: it had to stop on the way."""

    loss: float = 0.0
    count: float = 0.0
    bad: tuple[int, ...] = ()  # examples of the micro-batches whose loss is not finite
    no_memory: bool = False


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
    padded_tokens: int  # what was computed for them
    micro_batch_tokens: int  # the budget it was cut by: smaller than asked for once memory ran out
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
    note: Callable[[str], None] = lambda _: None,
) -> Iterator[Step]:
    """Run the updates one by one. optimizer is the one that the session prepared.

    Raises TrainingError before the weights change: T01 when a loss or gradient is not finite, T02 when a single
    example (of a sharded model: a micro-batch) does not fit into the memory, T03 when an update has nothing to learn
    from.
    """
    budget, sharded, rows = batches.budget, is_sharded(model), RowGradients()
    for update in updates:
        began = time.perf_counter()
        model.train()
        rate = schedule.learning_rate(update.step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        while True:
            shares = distribute(
                update.indices, batches.lengths, budget, session.world_size, padding=batches.padding
            )
            own = _Share.of(shares, session.rank, batches.lengths, in_step=sharded)
            sums = _over_all(session, _accumulate(session, model, batches, loss, own, update))
            if not sums.no_memory:
                break
            optimizer.zero_grad()
            budget = _smaller(session, budget, update, shares, note)
        if not sums.count:
            raise _nothing_to_learn(update)
        if not sharded:
            session.sum_gradients(model)
        norm = _divide_and_clip(session, model, optimizer, sums.count, max_grad_norm)
        if not np.isfinite(sums.loss) or (not np.isfinite(norm) and session.precision != "fp16"):
            raise _not_finite(session, update, sums, norm, rate)
        with rows.densify(model):
            optimizer.step()
        optimizer.zero_grad()
        yield Step(
            step=update.step,
            epoch=update.epoch,
            loss=sums.loss / sums.count,
            grad_norm=norm,
            learning_rate=rate,
            examples=len(update.indices),
            tokens=int(batches.lengths[update.indices].sum()),
            padded_tokens=sum(
                count_computed_tokens(batch, batches.lengths, batches.padding)
                for share in shares
                for batch in share
            ),
            micro_batch_tokens=budget,
            seconds=time.perf_counter() - began,
        )


def _accumulate(
    session: Session, model: nn.Module, batches: Batches, loss: Loss, share: _Share, update: _Update
) -> _Sums:
    """Forward and backward over this process's micro-batches, of which it may have none. Raises TrainingError T02."""
    session.seed_step(update.step)
    losses, counts = [], []
    try:
        for number, indices in enumerate([*share.micro_batches, *[share.filler] * share.passes]):
            counted = number < len(share.micro_batches)
            batch = session.to_device(batches.fetch(indices, update.epoch))
            with session.accelerator.autocast():
                summed, count = loss(model, batch)
            session.accelerator.backward(summed if counted else summed * 0)
            if counted:
                losses.append(summed.detach())
                counts.append(count.detach())
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        if is_sharded(model):
            raise _no_way_back(session, update) from error
        return _Sums(no_memory=True)
    if not losses:
        return _Sums()
    found = torch.stack(losses).cpu().double().numpy()
    bad = [
        indices for indices, value in zip(share.micro_batches, found, strict=True) if not np.isfinite(value)
    ]
    return _Sums(
        float(found.sum()),
        float(torch.stack(counts).cpu().double().sum()),
        tuple(int(index) for indices in bad for index in indices),
    )


def _over_all(session: Session, own: _Sums) -> _Sums:
    """Loss and count of all processes, whether one of them ran out of memory, and this one's bad examples."""
    loss, count, failed = session.sum([own.loss, own.count, float(own.no_memory)])
    return _Sums(loss, count, own.bad, failed > 0)


def _is_out_of_memory(error: BaseException) -> bool:
    """A CPU's allocator raises a plain RuntimeError."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "not enough memory" in str(error)


def _no_way_back(session: Session, update: _Update) -> TrainingError:
    """The other processes wait in the middle of a pass, where they can't be told; the launcher ends them."""
    return TrainingError(
        "T02",
        f"step {update.step}",
        f"process {session.rank} ran out of memory, and sharded processes can't make an update again",
        "lower train.micro_batch_tokens or set train.gradient_checkpointing=true, with another --out",
    )


def _smaller(
    session: Session,
    budget: int,
    update: _Update,
    shares: list[list[Indices]],
    note: Callable[[str], None],
) -> int:
    """Half the budget, after giving back what the failed attempt held. Raises TrainingError T02."""
    gc.collect()
    if session.device.type != "cpu":
        torch.accelerator.empty_cache()
    if all(len(batch) == 1 for share in shares for batch in share):
        raise TrainingError(
            "T02",
            f"step {update.step}",
            "a single example does not fit into the memory; the weights are as before this update",
            "lower train.max_length, or set train.gradient_checkpointing=true or model.lora",
        )
    note(
        f"step {update.step}: out of memory with micro-batches of {budget} tokens; going on with {budget // 2}"
    )
    return budget // 2


def _divide_and_clip(
    session: Session, model: nn.Module, optimizer: torch.optim.Optimizer, count: float, most: float | None
) -> float:
    """Turn summed gradients into those of the mean loss, no longer than `most`; returns the norm before clipping."""
    session.accelerator.unscale_gradients(optimizer)  # does something under fp16 only
    gradients = [get_local_rows(get_gradient_values(p)) for p in model.parameters() if p.grad is not None]
    scale = 1 / count
    norm = _norm(gradients) * scale
    if is_sharded(model):  # so far that of this process's rows
        norm = math.sqrt(session.sum([norm**2])[0])
    if most is not None and norm > most:
        scale *= most / norm
    torch._foreach_mul_(gradients, scale)
    return norm


def _norm(gradients: Sequence[Tensor]) -> float:
    """That of all of them together. On a CPU a dot product takes half the time of torch's norm, and is nearer."""
    if any(gradient.device.type != "cpu" for gradient in gradients):
        return float(nn.utils.get_total_norm(gradients))
    flat = [gradient.flatten() for gradient in gradients]
    return math.sqrt(sum(float(torch.dot(one, one)) for one in flat))


def _not_finite(session: Session, update: _Update, sums: _Sums, norm: float, rate: float) -> TrainingError:
    loss = sums.loss / sums.count
    bad = [index for found in session.gather(sums.bad) for index in found]
    what = f"the loss is {loss}" if not np.isfinite(loss) else f"the gradient's norm is {norm}"
    examples = bad or update.indices.tolist()
    some = ", ".join(map(str, examples[:8])) + (", ..." if len(examples) > 8 else "")
    return TrainingError(
        "T01",
        f"step {update.step}",
        f"{what} (training examples {some}; learning rate {rate:.2g}); the weights are as before this update",
        "lower train.learning_rate or raise train.warmup_ratio, look at these examples, then --resume",
    )


def _nothing_to_learn(update: _Update) -> TrainingError:
    return TrainingError(
        "T03",
        f"step {update.step}",
        f"none of its {len(update.indices)} examples has a token to learn from",
        "raise train.batch_size, or leave out rows without an answer",
    )
