"""Low-rank adapters (LoRA, Hu et al. 2021) through peft: add, fuse, merge and load.

Shapes: N tokens, I input features, O output features, R rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import Linear
from torch import Tensor, nn
from transformers import PreTrainedModel

from llmkit.base.errors import ModelError, shorten_list
from llmkit.base.quiet import quiet
from llmkit.base.seeds import derive_seed
from llmkit.recipe.schema import Lora

__all__ = ["add_adapter", "fuse_adapter", "load_adapter", "merge_adapter"]


def add_adapter(
    model: PreTrainedModel, lora: Lora, *, seed: int, new_tokens: Sequence[int] = ()
) -> PeftModel:
    """Add adapters to the target layers of a model. Its task head stays trainable.

    Args:
        model: The model; its other weights are frozen.
        lora: The settings of the recipe.
        seed: Initializes the adapters.
        new_tokens: Ids whose embeddings are trained too, because the checkpoint has never seen these tokens.

    Raises:
        ModelError: M08, a target matches no linear layer.
    """
    if lora.targets == "auto":
        targets: str | list[str] = "all-linear"
    else:
        linear = {
            name.rsplit(".", 1)[-1] for name, module in model.named_modules() if isinstance(module, nn.Linear)
        }
        unknown = [target for target in lora.targets if target.rsplit(".", 1)[-1] not in linear]
        if unknown:
            raise ModelError(
                "M08",
                "model.lora.targets",
                f"{shorten_list(unknown)} matches no linear layer of {type(model).__name__}",
                f"choose from {shorten_list(sorted(linear), 20)}, or auto",
            )
        targets = lora.targets
    head = _find_head(model)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # a float works, as in the paper
        lora_dropout=lora.dropout,
        target_modules=targets,
        modules_to_save=head or None,
        exclude_modules=head or None,
        trainable_token_indices=list(new_tokens) or None,
    )
    torch.manual_seed(derive_seed(seed, "lora"))
    with quiet():
        return get_peft_model(model, config)


def _find_head(model: PreTrainedModel) -> list[str]:
    """Return the names of the modules beside the body: the task head. The output layer of a language model is body."""
    if model.get_output_embeddings() is not None:  # type: ignore[no-untyped-call]
        return []
    modules = [(name, module) for name, module in model.named_children() if name != model.base_model_prefix]
    return [name for name, module in modules if any(True for _ in module.parameters())]


def fuse_adapter(model: nn.Module) -> None:
    """Make each adapted linear layer compute W x + s B A x and its gradient in one operation, in place. fp32 only.

    peft makes three more passes over the layer's output and stores tensors that the gradients do not need.
    """
    for module in model.modules():
        if type(module) is Linear:
            module.__class__ = _FusedLinear


class _FusedLinear(Linear):
    """An adapted linear layer that fuses the common case (one active adapter, no dropout, in training).

    All other cases run peft's own forward.
    """

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        base, names = self.get_base_layer(), self.active_adapters
        if args or kwargs or self.disable_adapters or self.merged or self.lora_variant or len(names) != 1:
            return super().forward(x, *args, **kwargs)
        down: Any = self.lora_A[names[0]]
        up: Any = self.lora_B[names[0]]
        without_dropout = isinstance(self.lora_dropout[names[0]], nn.Identity)
        if not (self.training and without_dropout and type(base) is nn.Linear and up.bias is None):
            return super().forward(x)
        flat_NO: Tensor = _FusedAdapter.apply(  # type: ignore[no-untyped-call]
            x.flatten(0, -2), base.weight, base.bias, down.weight, up.weight, self.scaling[names[0]]
        )
        return flat_NO.view(*x.shape[:-1], -1)


class _FusedAdapter(torch.autograd.Function):
    """x W^T + b + s (x A^T) B^T, where W and b are frozen."""

    @staticmethod
    def forward(
        ctx: Any, x_NI: Tensor, w_OI: Tensor, b_O: Tensor | None, a_RI: Tensor, b_OR: Tensor, s: float
    ) -> Tensor:
        low_NR = x_NI @ a_RI.T
        ctx.save_for_backward(x_NI, w_OI, a_RI, b_OR, low_NR)
        ctx.s = s
        return nn.functional.linear(x_NI, w_OI, b_O).addmm_(low_NR, b_OR.T, alpha=s)

    @staticmethod
    def backward(ctx: Any, d_NO: Tensor) -> tuple[Tensor | None, ...]:
        x_NI, w_OI, a_RI, b_OR, low_NR = ctx.saved_tensors
        d_low_NR = (d_NO @ b_OR).mul_(ctx.s)
        d_x_NI = (d_NO @ w_OI).addmm_(d_low_NR, a_RI) if ctx.needs_input_grad[0] else None
        return d_x_NI, None, None, d_low_NR.T @ x_NI, (d_NO.T @ low_NR).mul_(ctx.s), None


def merge_adapter(model: PeftModel) -> PreTrainedModel:
    """Return the plain model with each W replaced by W + (alpha / rank) B A."""
    merged: PreTrainedModel = model.merge_and_unload()
    return merged


def load_adapter(base: PreTrainedModel, folder: Path) -> PeftModel:
    """Load a saved adapter onto its base model, for prediction.

    Raises:
        ModelError: M07, the adapter does not fit the base model.
    """
    try:
        with quiet():
            return PeftModel.from_pretrained(base, str(folder))
    except (RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0].rstrip(".:")
        message = f"the adapter does not fit this base model ({reason})"
        raise ModelError(
            "M07", str(folder), message, "name the base model that the adapter was trained on"
        ) from error
