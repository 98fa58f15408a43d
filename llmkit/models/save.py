"""Save a model as a folder that plain transformers opens, with `llmkit.json` for later commands.

model/   config.json  model.safetensors  tokenizer.json ...   (of an adapter: adapter_model.safetensors ...)
         llmkit.json    task and its options, labels, columns, max_length, base model
         README.md      model card
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
from transformers import PreTrainedTokenizerBase

from llmkit.base import files
from llmkit.base.errors import ModelError
from llmkit.base.quiet import quiet

__all__ = ["ModelMetadata", "hash_weights", "load_metadata", "save_model"]

METADATA = "llmkit.json"


@dataclass(frozen=True)
class ModelMetadata:
    """The content of `llmkit.json`: what is needed to predict with a saved model.

    Attributes:
        task: The task's name and options, as in the recipe.
        labels: The names of the classes, in the order of the model's outputs.
        columns: The data's column for each role of the task.
        max_length: The largest number of tokens of an input.
        base: The name of the base model.
        adapter: Whether the folder holds only an adapter of the base model.
        llmkit: The version of llmkit that saved the model.
        tuned: Values the task chose on the validation set, such as thresholds.
    """

    task: dict[str, Any]
    labels: list[str]
    columns: dict[str, str]
    max_length: int
    base: str
    adapter: bool = False
    llmkit: str = ""
    tuned: dict[str, Any] = field(default_factory=dict)


def save_model(
    folder: Path,
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    metadata: ModelMetadata,
    *,
    readme: str,
) -> None:
    """Save a model completely, or leave the folder as it was.

    Args:
        folder: The model's folder, which is replaced if it exists.
        model: A transformers model, or a peft model to save as an adapter.
        tokenizer: Its tokenizer.
        metadata: The content of `llmkit.json`.
        readme: The model card in Markdown.
    """
    with files.staged_folder(folder) as staged:
        with quiet():
            model.save_pretrained(staged)  # type: ignore[operator]
        tokenizer.save_pretrained(staged)
        files.write_json(staged / METADATA, asdict(metadata))
        files.write_text(staged / "README.md", readme)


def load_metadata(folder: Path) -> ModelMetadata | None:
    """Read the metadata of a model that llmkit saved; return None for other model folders.

    Raises:
        ModelError: M01, `llmkit.json` is damaged.
    """
    path = folder / METADATA
    if not path.exists():
        return None
    try:
        return ModelMetadata(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ModelError(
            "M01", str(path), f"is damaged ({error})", "train the model again, or copy it again"
        ) from error


def hash_weights(model: nn.Module) -> str:
    """Return the SHA-256 of all weights (name, type, shape and bytes): equal only for bit-identical models."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        value = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
