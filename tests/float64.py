"""Models in float64, for tests that two ways of computing the same thing agree.

In float32 the two differ by rounding, by how much depends on the order of the sums and so on the processor, its
instruction set and the number of threads. In float64 rounding is about 1e-14, far below any mistake: a tolerance can
be tight and still hold on every machine.
"""

from __future__ import annotations

from typing import TypeVar

from torch import nn

__all__ = ["EXACT", "in_float64"]

EXACT = {"rtol": 1e-10, "atol": 1e-10}  # sums of some thousand terms: differences seen are below 1e-12

Model = TypeVar("Model", bound=nn.Module)


def in_float64(model: Model) -> Model:
    """Convert the model to float64 in place, its norms included.

    Root-mean-square norms of transformers compute in float32 whatever the type of the weights is, so torch's take
    their place.
    """
    for module in list(model.modules()):
        for name, norm in list(module.named_children()):
            if type(norm).__name__.endswith(("RMSNorm", "T5LayerNorm")) and not isinstance(norm, nn.RMSNorm):
                double = nn.RMSNorm(norm.weight.shape, eps=norm.variance_epsilon)
                double.weight = norm.weight
                setattr(module, name, double)
    return model.double()
