"""Distributed session: owns the Accelerator, device, process group and precision.

accelerate does device placement, autocast, loss scaling and collectives. The model is not wrapped in DDP, which would
average gradients where llmkit sums them, wait for processes that have no micro-batch left, and hang when one process
runs out of memory. Gradients are summed over the processes once per step instead. Models too large for that use
`engine.sharding`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from llmkit.base import processes
from llmkit.base.errors import RecipeError, RunError
from llmkit.base.seeds import derive_seed
from llmkit.engine.precision import Precision, choose_precision

__all__ = ["Session", "start"]

T = TypeVar("T")

BUCKET_BYTES = 1 << 26
# Texts in a collective's error that mean another process has ended.
LOST_PROCESS = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "ncclRemoteError")
UNSUPPORTED_PLUGINS = ("FSDP", "DEEPSPEED", "MEGATRON_LM")


@dataclass(frozen=True)
class Session:
    """The running process group, often of a single process."""

    accelerator: Accelerator
    seed: int
    precision: Precision

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""
        return int(self.accelerator.process_index)

    @property
    def world_size(self) -> int:
        """The number of processes."""
        return int(self.accelerator.num_processes)

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        return torch.device(self.accelerator.device)

    def to_device(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Copy a batch to this process's device."""
        return {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}

    def sum(self, values: list[float]) -> list[float]:
        """Sum each number over all processes, in double precision."""
        if self.world_size == 1:
            return values
        dtype = torch.float32 if self.device.type == "mps" else torch.float64
        reduced = self.accelerator.reduce(
            torch.tensor(values, dtype=dtype, device=self.device), reduction="sum"
        )
        return [float(value) for value in reduced]

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, ordered by rank, on all processes. Values must be picklable."""
        if self.world_size == 1:
            return [value]
        gathered: list[T] = [value] * self.world_size
        torch.distributed.all_gather_object(gathered, value)
        return gathered

    def broadcast(self, value: T) -> T:
        """Return the value of rank 0 on all processes."""
        return self.gather(value)[0]

    def sum_gradients(self, model: nn.Module) -> None:
        """Sum each parameter's gradient over all processes, in place, in buckets of BUCKET_BYTES.

        A parameter without a gradient on any process keeps none, so that AdamW skips it as it would in one process.
        """
        if self.world_size == 1:
            return
        trainable = [p for p in model.parameters() if p.requires_grad]
        has_gradient = torch.tensor([float(p.grad is not None) for p in trainable], device=self.device)
        torch.distributed.all_reduce(has_gradient)
        used = [p for p, count in zip(trainable, has_gradient.tolist(), strict=True) if count]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in used]
        for bucket in _split_into_buckets(gradients):
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            torch.distributed.all_reduce(flat)
            pieces = torch.split(flat, [gradient.numel() for gradient in bucket])
            torch._foreach_copy_(bucket, [piece.view_as(g) for piece, g in zip(pieces, bucket, strict=True)])
        for parameter, gradient in zip(used, gradients, strict=True):
            parameter.grad = gradient

    def has_same_weights(self, model: nn.Module) -> bool:
        """Return whether the model's weights have the same sums on all processes, as after reading the same files."""
        sums = [float(p.detach().double().sum()) for p in model.parameters()]
        return all(others == sums for others in self.gather(sums))

    def wait(self) -> None:
        """Wait until all processes have reached this call."""
        self.accelerator.wait_for_everyone()

    def seed_step(self, step: int) -> None:
        """Seed torch's generator, and so dropout, by (seed, step, rank)."""
        torch.manual_seed(derive_seed(self.seed, "dropout", step, self.rank))


@contextmanager
def start(*, seed: int, precision: str) -> Iterator[Session]:
    """Join the process group, if a launcher started several processes, and leave it at the end of the block.

    Args:
        seed: The seed of the run.
        precision: The value of `train.precision`.

    Raises:
        RecipeError: C10, the device does not support the precision, or a launcher asks for FSDP, DeepSpeed or Megatron.
        RunError: R08, another process ended inside the block.
    """
    requested = [
        name
        for name in UNSUPPORTED_PLUGINS
        if os.environ.get(f"ACCELERATE_USE_{name}", "false").lower() == "true"
    ]
    if requested:
        raise RecipeError(
            "C10",
            f"ACCELERATE_USE_{requested[0]}",
            f"asks for {requested[0]}, which llmkit does not support here",
            "remove it from accelerate's configuration; to shard a model in training, set train.shard=true",
        )
    on_cpu = not torch.accelerator.is_available()
    device = torch.device("cpu") if on_cpu else torch.accelerator.current_accelerator() or torch.device("cpu")
    chosen = choose_precision(precision, device)
    AcceleratorState._reset_state()  # otherwise the first session of this process would fix the precision for all
    accelerator = Accelerator(cpu=on_cpu, mixed_precision={"fp32": "no"}.get(chosen, chosen))
    joined = accelerator.num_processes
    if joined != processes.get_world_size():  # accelerate ignored a setting of the launcher
        raise RuntimeError(f"{processes.get_world_size()} processes were started, {joined} joined")
    try:
        yield Session(accelerator, seed, chosen)
    except RuntimeError as error:
        if joined > 1 and any(text in str(error) for text in LOST_PROCESS):
            raise RunError(
                "R08",
                "",
                "another process of this run has ended, and this one cannot continue without it",
                "see that process's error above (there is none if it was killed), then --resume",
            ) from error
        raise
    finally:
        accelerator.end_training()


def _split_into_buckets(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    """Yield groups of neighbouring tensors of one type, in order, up to BUCKET_BYTES each."""
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and (size + tensor.nbytes > BUCKET_BYTES or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.nbytes
    if bucket:
        yield bucket
