"""Sentence embeddings of a trained model or a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from llmkit.assets import hub
from llmkit.base.progress import Progress
from llmkit.data.encoding.encode import encode_texts
from llmkit.data.encoding.features import Encoded
from llmkit.inference.batches import make_batches
from llmkit.inference.trained_model import find_model_folder, open_model
from llmkit.recipe.schema import Train

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from llmkit.engine.session import Session

__all__ = ["Embedder", "embed_texts", "open_embedder"]

MAX_LENGTH = 512  # tokens; longer texts are truncated, even where the model has more positions


@dataclass(frozen=True)
class Embedder:
    """A model body that embeds texts, with its tokenizer and the maximum length in tokens."""

    body: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_length: int


def open_embedder(target: str, progress: Progress) -> Embedder:
    """Open a run, a model folder, a Hub id or index:NAME for embedding, with or without a task head."""
    from llmkit.models import load, save, sentence_embedding

    folder = find_model_folder(target, progress)
    metadata = save.load_metadata(folder)
    if metadata and metadata.adapter:
        from llmkit.models import lora  # peft takes a while to import

        tokenizer = load.load_tokenizer(folder, weights=False)
        merged = lora.merge_adapter(open_model(target, progress).model)
        body = cast("PreTrainedModel", merged.base_model)
        positions = load.get_max_length(hub.fetch_model(metadata.base, progress), tokenizer)
    else:
        tokenizer = load.load_tokenizer(folder)
        body = sentence_embedding.load_body(folder)
        positions = load.get_max_length(folder, tokenizer)
    if sentence_embedding.is_gpt_type(body):
        progress.note(
            f"{target} is a GPT-type model ({body.config.model_type}), whose tokens attend to earlier tokens only; "
            "the embedding is the mean over all tokens"
        )
    return Embedder(body, tokenizer, min(MAX_LENGTH, positions))


def embed_texts(
    session: Session, embedder: Embedder, texts: list[str], on_progress: Callable[[int, int], None]
) -> tuple[NDArray[np.float32], int]:
    """Embed texts that fit into memory.

    Args:
        session: Provides the device.
        embedder: The model and its tokenizer.
        texts: The texts.
        on_progress: Called with the number of texts done and their total.

    Returns:
        Embeddings (texts, D) of length 1, NaN for blank texts, and the number of truncated texts.
    """
    from llmkit.engine.predict import predict
    from llmkit.models import sentence_embedding

    embeddings = np.full((len(texts), sentence_embedding.get_dimension(embedder.body)), np.nan, np.float32)
    filled = [number for number, text in enumerate(texts) if text.strip()]
    if not filled:
        return embeddings, 0
    features = encode_texts(
        embedder.tokenizer,
        [texts[number] for number in filled],
        max_length=embedder.max_length,
        truncation=True,
    )
    batches = make_batches(session, Encoded.from_batches([(0, features)]), {}, embedder.tokenizer, Train())
    outputs = predict(session, embedder.body, batches, sentence_embedding.embed, on_progress=on_progress)
    embeddings[filled] = outputs["embedding"]
    return embeddings, features.counts.cut_examples
