"""Low-rank adapters (Hu et al. 2021) through peft: put on, computed in one piece, merged, or kept.

Shapes: N tokens, I and O features in and out, R rank.
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

from llmkit.base.errors import ModelError, some
from llmkit.base.seeds import derive
from llmkit.models.quiet import quiet
from llmkit.recipe.schema import Lora

__all__ = ["add_adapter", "fuse_adapter", "load_adapter", "merge_adapter"]


def add_adapter(
    model: PreTrainedModel, lora: Lora, *, seed: int, new_tokens: Sequence[int] = ()
) -> PeftModel:
    """The model with adapters on the targets; a freshly made task head stays trainable as a whole.

    new_tokens: ids whose embeddings are trained too, since the checkpoint has never seen them.

    Raises ModelError M08 when the targets match no linear layer.
    """
    head = _head(model)
    targets = "all-linear" if lora.targets == "auto" else _known(model, lora.targets)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # a float works, and is what the paper has
        lora_dropout=lora.dropout,
        target_modules=targets,
        modules_to_save=head or None,
        exclude_modules=head or None,
        trainable_token_indices=list(new_tokens) or None,
    )
    torch.manual_seed(derive(seed, "lora"))
    with quiet():
        return get_peft_model(model, config)


def fuse_adapter(model: nn.Module) -> None:
    """Let each adapted linear layer compute W x + s B A x and its gradient in one piece, in place. In float32 only.

    peft goes over the layer's output three times more, and keeps what it needs for none of the gradients.
    """
    for module in model.modules():
        if type(module) is Linear:
            module.__class__ = _Fused


class _Fused(Linear):
    """As peft's, to which all but the plain case is left."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        base, names = self.get_base_layer(), self.active_adapters
        if args or kwargs or self.disable_adapters or self.merged or self.lora_variant or len(names) != 1:
            return super().forward(x, *args, **kwargs)
        down: Any = self.lora_A[names[0]]
        up: Any = self.lora_B[names[0]]
        without_dropout = isinstance(self.lora_dropout[names[0]], nn.Identity)
        if not (self.training and without_dropout and type(base) is nn.Linear and up.bias is None):
            return super().forward(x)
        flat_NO: Tensor = _Adapted.apply(  # type: ignore[no-untyped-call]
            x.flatten(0, -2), base.weight, base.bias, down.weight, up.weight, self.scaling[names[0]]
        )
        return flat_NO.view(*x.shape[:-1], -1)


class _Adapted(torch.autograd.Function):
    """x W^T + b + s (x A^T) B^T. W and b are frozen."""

    @staticmethod
    def forward(
        ctx: Any, x_NI: Tensor, w_OI: Tensor, b_O: Any, a_RI: Tensor, b_OR: Tensor, s: float
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
    """The plain model with W + (alpha / rank) B A in the place of each W."""
    merged: PreTrainedModel = model.merge_and_unload()
    return merged


def load_adapter(base: PreTrainedModel, folder: Path) -> PeftModel:
    """The base with the adapter that was saved in this folder, for prediction.

    Raises ModelError M07 when the adapter does not fit the base.
    """
    try:
        with quiet():
            return PeftModel.from_pretrained(base, str(folder))
    except (RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0].rstrip(".:")
        raise ModelError(
            "M07",
            str(folder),
            f"the adapter does not fit this base model ({reason})",
            "name its own base",
        ) from error


def _head(model: PreTrainedModel) -> list[str]:
    """Names of the modules beside the body: the task head (for a language model its tied output layer is body)."""
    if model.get_output_embeddings() is not None:  # type: ignore[no-untyped-call]
        return []
    beside = [(name, part) for name, part in model.named_children() if name != model.base_model_prefix]
    return [name for name, part in beside if any(True for _ in part.parameters())]


def _known(model: PreTrainedModel, targets: list[str]) -> list[str]:
    linear = {
        name.rsplit(".", 1)[-1] for name, module in model.named_modules() if isinstance(module, nn.Linear)
    }
    missing = [target for target in targets if target.rsplit(".", 1)[-1] not in linear]
    if missing:
        raise ModelError(
            "M08",
            "model.lora.targets",
            f"{some(missing)} matches no linear layer of {type(model).__name__}",
            f"choose among {some(sorted(linear), 20)}, or auto",
        )
    return targets
