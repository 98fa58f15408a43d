"""A model folder that plain transformers opens, plus `llmkit.json`: what predict and evaluate need to know.

model/   config.json  model.safetensors  tokenizer.json ...   or, for a kept adapter, adapter_model.safetensors ...
         llmkit.json   task and its options, labels, columns, max_length, base model
         manifest.json  size and SHA-256 of each file
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from llmkit.base import files
from llmkit.base.errors import ModelError
from llmkit.models.quiet import quiet

__all__ = ["ModelMetadata", "hash_weights", "load_metadata", "save_model"]

CARD = "llmkit.json"


@dataclass(frozen=True)
class ModelMetadata:
    """How the model was made to read and answer."""

    task: dict[str, Any]
    labels: list[str]
    columns: dict[str, str]
    max_length: int
    base: str
    adapter: bool = False
    llmkit: str = ""
    tuned: dict[str, Any] = field(default_factory=dict)  # what `Task.tune` found


def save_model(
    folder: Path, model: Any, tokenizer: PreTrainedTokenizerBase, card: ModelMetadata, *, readme: str
) -> None:
    """Write the folder whole or not at all. model: a PreTrainedModel, or a PeftModel to be kept as an adapter."""
    with files.staged_folder(folder) as staged:
        with quiet():
            model.save_pretrained(staged)
        tokenizer.save_pretrained(staged)
        files.write_json(staged / CARD, asdict(card))
        files.write_text(staged / "README.md", readme)


def load_metadata(folder: Path) -> ModelMetadata | None:
    """The card of a model that llmkit has saved; None for any other model folder."""
    path = folder / CARD
    if not path.exists():
        return None
    try:
        return ModelMetadata(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ModelError(
            "M01", str(path), f"is damaged ({error})", "train or copy the model again"
        ) from error


def hash_weights(model: nn.Module | PreTrainedModel) -> str:
    """SHA-256 over the sorted (name, dtype, shape, bytes) of all weights: equal only for bit-identical models."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        value = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
