"""Low-rank adapters (Hu et al. 2021) through peft: put on, merged, or kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from llmkit.errors import ModelError, Problem, some
from llmkit.recipe.schema import Lora
from llmkit.seeds import derive

__all__ = ["add", "merge", "open_kept"]


def add(model: PreTrainedModel, lora: Lora, *, seed: int, new_tokens: Sequence[int] = ()) -> PeftModel:
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
    return get_peft_model(model, config)


def merge(model: PeftModel) -> PreTrainedModel:
    """The plain model with W + (alpha / rank) B A in the place of each W."""
    merged: PreTrainedModel = model.merge_and_unload()
    return merged


def open_kept(base: PreTrainedModel, folder: Path) -> PeftModel:
    """The base with the adapter that was saved in this folder, for prediction.

    Raises ModelError M07 when the adapter does not fit the base.
    """
    try:
        return PeftModel.from_pretrained(base, str(folder))
    except (RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0].rstrip(".:")
        raise ModelError(
            Problem(
                "M07",
                str(folder),
                f"the adapter does not fit this base model ({reason})",
                "name its own base",
            )
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
            Problem(
                "M08",
                "model.lora.targets",
                f"{some(missing)} matches no linear layer of {type(model).__name__}",
                f"choose among {some(sorted(linear), 20)}, or auto",
            )
        )
    return targets
