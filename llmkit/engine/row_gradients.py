"""Gradients of embeddings by row: a micro-batch reads some hundred of a vocabulary's ten thousands.

    mark(model)                      # before training
    rows = RowGradients()
    with rows.densify(model):         # for the optimizer
        optimizer.step()

torch would fill a tensor of the vocabulary's size with zeros for each micro-batch, and all that looks at gradients
would go over it. The sums are the same, and so are the updates: the optimizer gets the whole tensor, made once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["RowGradients", "enable_sparse_gradients", "get_gradient_values"]

WORTHWHILE = 1000  # rows


def enable_sparse_gradients(model: Any) -> None:
    """Let the model's embeddings have sparse gradients, where they are large and no head shares them."""
    embeddings = model.get_input_embeddings()
    large = type(embeddings) is nn.Embedding and embeddings.num_embeddings >= WORTHWHILE
    if large and embeddings.weight.requires_grad and model.get_output_embeddings() is None:
        embeddings.sparse = True


def get_gradient_values(parameter: nn.Parameter) -> Tensor:
    """The gradient; of a sparse one its rows, each once, to be read or changed in place."""
    grad = parameter.grad
    assert grad is not None
    if not grad.is_sparse:
        return grad
    parameter.grad = grad.coalesce()
    return parameter.grad._values()


class RowGradients:
    """The whole tensors, zero but while an optimizer sees them."""

    def __init__(self) -> None:
        self._whole: dict[nn.Parameter, Tensor] = {}

    @contextmanager
    def densify(self, model: nn.Module) -> Iterator[None]:
        """Inside, sparse gradients are dense; `values` has been asked of each before."""
        sparse = {p: p.grad for p in model.parameters() if p.grad is not None and p.grad.is_sparse}
        for parameter, grad in sparse.items():
            whole = self._whole.setdefault(parameter, torch.zeros_like(parameter, requires_grad=False))
            parameter.grad = whole.index_copy_(0, grad._indices()[0], grad._values())
        try:
            yield
        finally:
            for parameter, grad in sparse.items():
                self._whole[parameter].index_fill_(0, grad._indices()[0], 0)
