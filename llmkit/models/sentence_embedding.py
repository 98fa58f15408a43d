"""A text as one vector: the body of a checkpoint without its head, its last hidden states averaged over the tokens.

Mean pooling and then length 1, as sentence-transformers makes the embeddings of all-MiniLM-L6-v2 (Reimers and
Gurevych 2019, Sentence-BERT). The cosine similarity of two texts is then the dot product of their vectors.
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

from llmkit.base.errors import ModelError, some
from llmkit.models import load
from llmkit.models.quiet import quiet

__all__ = ["embed", "get_dimension", "is_gpt_type", "load_body", "pool_mean"]


def load_body(folder: Path) -> PreTrainedModel:
    """The checkpoint in float32 without any head; of an encoder and decoder pair the encoder.

    Raises ModelError M01 when the weights are not those of the architecture: the rest would be random numbers.
    """
    load.check_folder(folder)
    try:
        with quiet():
            model, found = AutoModel.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:200]
        raise ModelError("M01", str(folder), f"can't be loaded ({reason})", ANOTHER) from error
    missing = sorted(name for name in found["missing_keys"] if "pooler" not in name)  # which is not used here
    if missing:
        message = f"{len(missing)} weights of {type(model).__name__} are missing ({some(missing, 3)})"
        raise ModelError("M01", str(folder), message, ANOTHER)
    encoder: PreTrainedModel = model.get_encoder() if model.config.is_encoder_decoder else model
    return encoder


ANOTHER = "name a folder that save_pretrained has written whole, a Hub id, or index:NAME"


def is_gpt_type(model: PreTrainedModel) -> bool:
    """Whether its tokens see only those before them: a language model that is not also a masked one."""
    kind = model.config.model_type
    return kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES


def get_dimension(model: PreTrainedModel) -> int:
    """D, the numbers of one embedding."""
    return int(model.config.get_text_config().hidden_size)


def embed(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """{"embedding": (B, D)} of a micro-batch: float32, each row of length 1. A `decode` for `engine.predict`."""
    mask_BL = batch["attention_mask"]
    hidden_BLD = model(input_ids=batch["input_ids"], attention_mask=mask_BL).last_hidden_state
    return {"embedding": nn.functional.normalize(pool_mean(hidden_BLD.float(), mask_BL), dim=-1)}


def pool_mean(hidden_BLD: Tensor, mask_BL: Tensor) -> Tensor:
    """(B, D): the mean of the hidden states where the mask is 1; padding has no part in it."""
    weights_BL1 = mask_BL.unsqueeze(-1).to(hidden_BLD)
    return (hidden_BLD * weights_BL1).sum(1) / weights_BL1.sum(1).clamp(min=1)
