"""Spread weights, gradients and optimizer state over the processes with torch's FSDP2 (`fully_shard`).

    placed = place(session, model, shard=True)   placed.model is trained
    placed.full_model()                          a plain model with all weights, to predict with and to save

Each parameter is split into rows, one part per process. A block of layers is gathered for its forward or backward pass
and freed after it; its gradients are summed over the processes in float32 while they are scattered. This has four
consequences:

- All processes run the same number of forward passes; the training loop adds empty passes where needed.
- No process can repeat a step alone when it runs out of memory.
- Each parameter must be used by all processes or by none, which excludes mixtures of experts.
- Under bf16, autocast keeps a cast copy of the weights until the backward pass, unless
  train.gradient_checkpointing recomputes it.

Predictions need no common passes: the weights are gathered once, so one device must hold all of them (4 bytes per
parameter, where training without shards takes 16).

Tested on CPUs (gloo); not yet tested on GPUs (nccl).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from llmkit.base.errors import RecipeError
from llmkit.engine.session import Session

__all__ = ["Placed", "gather_rows", "get_local_rows", "get_local_slice", "is_sharded", "place"]


@dataclass(frozen=True)
class Placed:
    """A model on its device.

    Attributes:
        model: The model to train, sharded or not.
        skeleton: The same model with parameters on the meta device (shapes without data); None when not sharded.
    """

    model: nn.Module
    skeleton: nn.Module | None = None

    def full_model(self) -> nn.Module:
        """Return the model with all its weights on this device; of a sharded model, a gathered copy.

        When the model is sharded, all processes must call this together.
        """
        if self.skeleton is None:
            return self.model
        gathered = {
            id(shape): nn.Parameter(gather_rows(parameter.detach()), parameter.requires_grad)
            for shape, parameter in zip(self.skeleton.parameters(), self.model.parameters(), strict=True)
        }
        model = copy.deepcopy(
            self.skeleton, gathered
        )  # the memo replaces each empty parameter by the gathered one
        model.to(next(model.parameters()).device)
        for buffer, value in zip(model.buffers(), self.model.buffers(), strict=True):
            buffer.copy_(value)
        return model


def place(session: Session, model: nn.Module, *, shard: bool) -> Placed:
    """Move a model to this process's device, or shard it over the processes.

    Args:
        session: The distributed session.
        model: The model, with the same weights on all processes.
        shard: Whether to shard the model. One process alone never shards.

    Raises:
        RecipeError: C10, sharding in fp16, whose loss scaling would need the gradients of all processes.
    """
    if not shard or session.world_size == 1:
        return Placed(model.to(session.device))
    if session.precision == "fp16":
        message = "a sharded model cannot be trained in fp16"
        raise RecipeError("C10", "train.shard", message, "set train.precision to bf16 or fp32")
    shapes: dict[int, Any] = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), p.requires_grad) for p in model.parameters()
    }
    skeleton = copy.deepcopy(model, shapes)
    mesh = init_device_mesh(session.device.type, (session.world_size,))
    for module in [*_find_blocks(model), model]:
        sharded: FSDPModule = fully_shard(module, mesh=mesh)
        sharded.set_gradient_divide_factor(1.0)  # a sum, not a mean
        sharded.set_force_sum_reduction_for_comms(True)  # gloo supports only sums
    return Placed(model, skeleton)


def is_sharded(model: nn.Module) -> bool:
    """Return whether the model's parameters are spread over processes."""
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def get_local_rows(tensor: Tensor) -> Tensor:
    """Return this process's rows, sharing memory with the tensor; a plain tensor is returned as it is."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def gather_rows(tensor: Tensor) -> Tensor:
    """Return all rows. For a sharded tensor, all processes must call this together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def get_local_slice(tensor: Tensor) -> slice:
    """Return which rows of the full tensor `get_local_rows` holds.

    All processes have the same number of rows, except that the last ones may have fewer or none.
    """
    if not isinstance(tensor, DTensor):
        return slice(None)
    per_process = -(-len(tensor) // tensor.device_mesh.size())
    start = min(tensor.device_mesh.get_local_rank() * per_process, len(tensor))
    return slice(start, start + len(tensor.to_local()))


def _find_blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers of each stack (nn.ModuleList), each to be gathered as one. Lists inside a layer belong to it."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _find_blocks(child)
