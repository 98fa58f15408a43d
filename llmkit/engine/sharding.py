"""Weights, gradients and optimizer state spread over the processes: torch's FSDP2 (`fully_shard`) behind one wrapper.

    placed = place(session, model, shard=True)   placed.model is trained
    placed.full_model()                               a plain model with all weights, for predictions and the end

Each parameter is cut into rows, one part a process. A block of layers is gathered when its forward or backward pass
comes, and freed after it; its gradients are summed over the processes while they are scattered, in float32. What that
asks of the rest: all processes run equally many forward passes (`train` fills up with empty ones), and none of them
can go back alone when its memory runs out. Predictions need no such steps: for them the weights are gathered once, so
a device must hold them (4 bytes a parameter, where training whole takes 16). Under bf16, autocast keeps a cast copy of
the weights until the backward pass, unless train.gradient_checkpointing computes it again. Parameters must be used by
all processes or by none, as they are but for mixtures of experts.

Tested on CPUs (gloo); untested on GPUs (nccl) so far.
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
    """A model on its device. plan: the same model with parameters that have a shape only; None for a whole one."""

    model: nn.Module
    plan: nn.Module | None = None

    def full_model(self) -> nn.Module:
        """The model with all its weights on this device: a copy of a sharded one. All processes call it together."""
        if self.plan is None:
            return self.model
        gathered = {
            id(shape): nn.Parameter(gather_rows(own.detach()), own.requires_grad)
            for shape, own in zip(self.plan.parameters(), self.model.parameters(), strict=True)
        }
        model = copy.deepcopy(self.plan, gathered)  # the memo: what stands in the place of each parameter
        model.to(next(model.parameters()).device)
        for buffer, own in zip(model.buffers(), self.model.buffers(), strict=True):
            buffer.copy_(own)
        return model


def place(session: Session, model: nn.Module, *, shard: bool) -> Placed:
    """The model on this process's device; with `shard`, and several processes, a part of it.

    The models of all processes have the same weights. Raises RecipeError C10 under fp16, whose loss scaling would
    have to look at the gradients of all processes.
    """
    if not shard or session.world_size == 1:
        return Placed(model.to(session.device))
    if session.precision == "fp16":
        message = "shards can't be trained in fp16"
        raise RecipeError("C10", "train.shard", message, "set train.precision to bf16 or fp32")
    plan = _plan(model)
    mesh = init_device_mesh(session.device.type, (session.world_size,))
    for part in [*_blocks(model), model]:
        sharded: FSDPModule = fully_shard(part, mesh=mesh)
        sharded.set_gradient_divide_factor(1.0)  # a sum, not a mean
        sharded.set_force_sum_reduction_for_comms(True)  # gloo knows no other way
    return Placed(model, plan)


def is_sharded(model: nn.Module) -> bool:
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def get_local_rows(tensor: Tensor) -> Tensor:
    """This process's rows, sharing memory with the tensor; a plain tensor is its own."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def gather_rows(tensor: Tensor) -> Tensor:
    """All rows; of a sharded tensor gathered, for which all processes meet."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def get_local_slice(tensor: Tensor) -> slice:
    """Which rows `local` has: all have the same number, but for the last processes."""
    if not isinstance(tensor, DTensor):
        return slice(None)
    most = -(-len(tensor) // tensor.device_mesh.size())
    start = min(tensor.device_mesh.get_local_rank() * most, len(tensor))
    return slice(start, start + len(tensor.to_local()))


def _plan(model: nn.Module) -> nn.Module:
    """A copy of everything but the parameters, of which only the shapes are kept."""
    shapes: dict[int, Any] = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), p.requires_grad) for p in model.parameters()
    }
    return copy.deepcopy(model, shapes)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of each stack (nn.ModuleList): what is gathered at once. Lists inside a layer are part of it."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _blocks(child)
