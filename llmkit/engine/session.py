"""The session: the only maker of an Accelerator. It knows the device, the processes and the number format.

accelerate is used for what it is good at (device placement, autocast, loss scaling, collectives). The model stays
plain: DDP would average gradients where ours are summed, wait for processes that have no micro-batch left, and hang
when one of them runs out of memory. Gradients are added up once an update instead. `engine.sharding` is for models
that are too large for that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from llmkit.base import processes
from llmkit.base.errors import ErrorDetail, RecipeError, RunError
from llmkit.base.seeds import derive
from llmkit.engine.precision import Precision, choose_precision

__all__ = ["Session", "start"]

BUCKET = 1 << 26  # bytes
LEFT_ALONE = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "ncclRemoteError")
SHARDING = ("FSDP", "DEEPSPEED", "MEGATRON_LM")


@dataclass(frozen=True)
class Session:
    """The running process group (of one process, mostly)."""

    accelerator: Accelerator
    seed: int
    precision: Precision

    @property
    def rank(self) -> int:
        return int(self.accelerator.process_index)

    @property
    def world_size(self) -> int:
        return int(self.accelerator.num_processes)

    @property
    def device(self) -> torch.device:
        return torch.device(self.accelerator.device)

    def to_device(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}

    def sum(self, values: list[float]) -> list[float]:
        """These numbers added up over all processes, in double precision."""
        if self.world_size == 1:
            return values
        kind = torch.float32 if self.device.type == "mps" else torch.float64
        reduced = self.accelerator.reduce(
            torch.tensor(values, dtype=kind, device=self.device), reduction="sum"
        )
        return [float(value) for value in reduced]

    def gather(self, value: Any) -> list[Any]:
        """One Python object of each process, in the order of ranks, on all of them."""
        if self.world_size == 1:
            return [value]
        gathered: list[Any] = [None] * self.world_size
        torch.distributed.all_gather_object(gathered, value)
        return gathered

    def broadcast(self, value: Any) -> Any:
        """The main process's value, on all of them."""
        return self.gather(value)[0]

    def sum_gradients(self, model: nn.Module) -> None:
        """Add up each parameter's gradient over all processes, in place, in buckets of some megabytes.

        One that no process has a gradient for keeps none, so that AdamW passes it over as it would in one process.
        """
        if self.world_size == 1:
            return
        trainable = [p for p in model.parameters() if p.requires_grad]
        having = torch.tensor([float(p.grad is not None) for p in trainable], device=self.device)
        torch.distributed.all_reduce(having)
        used = [p for p, owners in zip(trainable, having.tolist(), strict=True) if owners]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in used]
        for bucket in _buckets(gradients):
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            torch.distributed.all_reduce(flat)
            pieces = torch.split(flat, [gradient.numel() for gradient in bucket])
            torch._foreach_copy_(bucket, [piece.view_as(g) for piece, g in zip(pieces, bucket, strict=True)])
        for parameter, gradient in zip(used, gradients, strict=True):
            parameter.grad = gradient

    def has_same_weights(self, model: nn.Module) -> bool:
        """Whether all processes begin from the same weights, as they do when they read the same files."""
        own = [float(p.detach().double().sum()) for p in model.parameters()]
        return all(other == own for other in self.gather(own))

    def wait(self) -> None:
        self.accelerator.wait_for_everyone()

    def seed_step(self, step: int) -> None:
        """Make the dropout of this update a function of (seed, step, rank)."""
        torch.manual_seed(derive(self.seed, "dropout", step, self.rank))


@contextmanager
def start(*, seed: int, precision: str) -> Iterator[Session]:
    """Join the process group (if a launcher started several processes), and leave it at the end.

    Raises RecipeError C10 when the device can't do the wanted precision, or a launcher asks for DeepSpeed, Megatron, or
    (outside of training) FSDP; RunError R08 when another process ended inside of the block.
    """
    _check_plain()
    on_cpu = not torch.accelerator.is_available()
    device = torch.device("cpu") if on_cpu else torch.accelerator.current_accelerator() or torch.device("cpu")
    chosen = choose_precision(precision, device)
    AcceleratorState._reset_state()  # else the precision of this process's first session would be the only one
    accelerator = Accelerator(cpu=on_cpu, mixed_precision={"fp32": "no"}.get(chosen, chosen))
    if (
        accelerator.num_processes != processes.world_size()
    ):  # a launcher setting that accelerate did not honour
        raise RuntimeError(
            f"{processes.world_size()} processes were started, {accelerator.num_processes} joined"
        )
    try:
        yield Session(accelerator, seed, chosen)
    except RuntimeError as error:
        if accelerator.num_processes > 1 and any(sign in str(error) for sign in LEFT_ALONE):
            raise _left_alone() from error
        raise
    finally:
        accelerator.end_training()


def _left_alone() -> RunError:
    message = "another process of this run has ended, and nothing goes on without it"
    return RunError("R08", "", message, "what it said stands above, unless it was killed; then --resume")


def _buckets(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    """In order, neighbours of one number format together, up to BUCKET bytes."""
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and (size + tensor.nbytes > BUCKET or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.nbytes
    if bucket:
        yield bucket


def _check_plain() -> None:
    """What `accelerate config` can ask for and llmkit does not do is refused, not passed over."""
    asked = [name for name in SHARDING if os.environ.get(f"ACCELERATE_USE_{name}", "false").lower() == "true"]
    if asked:
        problem = ErrorDetail(
            "C10",
            f"ACCELERATE_USE_{asked[0]}",
            f"asks for {asked[0]}, which llmkit does not do here",
            "leave it out of accelerate's configuration; in training train.shard=true spreads the model",
        )
        raise RecipeError.of(problem)
