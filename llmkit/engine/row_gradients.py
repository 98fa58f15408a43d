"""Sparse embedding gradients: a micro-batch reads some hundred rows of an embedding that has ten thousands.

    enable_sparse_gradients(model)   # before training
    rows = RowGradients()
    with rows.densify(model):        # around the optimizer
        optimizer.step()

With a dense gradient, torch would fill a tensor of the vocabulary's size with zeros for each micro-batch, and every
operation on gradients would read all of it. The sums and the weight updates are the same: the optimizer gets the dense
tensor, built once per step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["RowGradients", "enable_sparse_gradients", "get_gradient_values"]

MIN_ROWS = 1000  # embeddings with fewer rows keep dense gradients


def enable_sparse_gradients(model: nn.Module) -> None:
    """Switch the input embedding of a transformers model to sparse gradients.

    Small embeddings, frozen ones and those shared with a head keep dense gradients.
    """
    embeddings = model.get_input_embeddings()  # type: ignore[operator]
    if type(embeddings) is not nn.Embedding or embeddings.num_embeddings < MIN_ROWS:
        return
    if embeddings.weight.requires_grad and model.get_output_embeddings() is None:  # type: ignore[operator]
        embeddings.sparse = True


def get_gradient_values(parameter: nn.Parameter) -> Tensor:
    """Return the gradient of a parameter, to read or to change in place.

    A sparse gradient is coalesced first, so that each row occurs once, and its rows are returned.
    """
    grad = parameter.grad
    assert grad is not None
    if not grad.is_sparse:
        return grad
    parameter.grad = grad.coalesce()
    return parameter.grad._values()


class RowGradients:
    """Reusable dense tensors for sparse gradients. They are zero except during an optimizer step."""

    def __init__(self) -> None:
        self._dense: dict[nn.Parameter, Tensor] = {}

    @contextmanager
    def densify(self, model: nn.Module) -> Iterator[None]:
        """Make sparse gradients dense inside the block.

        They must be coalesced: `get_gradient_values` has been called for each.
        """
        sparse = {p: p.grad for p in model.parameters() if p.grad is not None and p.grad.is_sparse}
        for parameter, grad in sparse.items():
            dense = self._dense.setdefault(parameter, torch.zeros_like(parameter, requires_grad=False))
            parameter.grad = dense.index_copy_(0, grad._indices()[0], grad._values())
        try:
            yield
        finally:
            for parameter, grad in sparse.items():
                self._dense[parameter].index_fill_(0, grad._indices()[0], 0)
