"""Embed a text as one vector: run a checkpoint without its head and average the last hidden states over the tokens.

The mean is scaled to length 1, as sentence-transformers does for all-MiniLM-L6-v2, so the cosine similarity of two
texts is the dot product of their vectors.

Source: Reimers and Gurevych 2019 (Sentence-BERT).
Shapes: B texts, L tokens, D hidden size.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from llmkit.base.errors import ModelError, shorten_list
from llmkit.base.quiet import quiet
from llmkit.models import load

__all__ = ["embed", "get_dimension", "is_gpt_type", "load_body", "pool_mean"]

NAME_ANOTHER = "name a folder that save_pretrained wrote completely, a Hub id, or index:NAME"


def load_body(folder: Path) -> PreTrainedModel:
    """Load a checkpoint in float32 without its head; of an encoder-decoder model, load the encoder.

    Raises:
        ModelError: M01, the checkpoint cannot be loaded, or lacks weights, which would then be random numbers.
    """
    load.check_folder(folder)
    try:
        with quiet():
            model, report = AutoModel.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:200]
        raise ModelError("M01", str(folder), f"cannot be loaded ({reason})", NAME_ANOTHER) from error
    missing = sorted(
        name for name in report["missing_keys"] if "pooler" not in name
    )  # the pooler is not used
    if missing:
        message = f"{len(missing)} weights of {type(model).__name__} are missing ({shorten_list(missing, 3)})"
        raise ModelError("M01", str(folder), message, NAME_ANOTHER)
    encoder: PreTrainedModel = model.get_encoder() if model.config.is_encoder_decoder else model
    return encoder


def is_gpt_type(model: PreTrainedModel) -> bool:
    """Return whether tokens attend only to earlier tokens: the type has a causal head and no masked one."""
    kind = model.config.model_type
    return kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES


def get_dimension(model: PreTrainedModel) -> int:
    """Return D, the number of components of an embedding."""
    return int(model.config.get_text_config().hidden_size)


def embed(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Embed a micro-batch. A `decode` function for `engine.predict`.

    Returns:
        {"embedding": (B, D)} in float32, each row of length 1.
    """
    mask_BL = batch["attention_mask"]
    hidden_BLD = model(input_ids=batch["input_ids"], attention_mask=mask_BL).last_hidden_state
    return {"embedding": nn.functional.normalize(pool_mean(hidden_BLD.float(), mask_BL), dim=-1)}


def pool_mean(hidden_BLD: Tensor, mask_BL: Tensor) -> Tensor:
    """Return the mean (B, D) of the hidden states where the mask is 1, which leaves padding out."""
    weights_BL1 = mask_BL.unsqueeze(-1).to(hidden_BLD)
    return (hidden_BLD * weights_BL1).sum(1) / weights_BL1.sum(1).clamp(min=1)
