"""Sentence embeddings of a trained model or a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llmkit.base.progress import Progress

if TYPE_CHECKING:
    from llmkit.models.save import ModelMetadata

__all__ = ["Embedder", "open_embedder", "vectors"]

MAX_LENGTH = 512  # tokens; longer texts are truncated, even where the model has more positions


@dataclass(frozen=True)
class Embedder:
    """A model body that embeds texts, with its tokenizer and the maximum length in tokens."""

    body: Any
    tokenizer: Any
    max_length: int


def open_embedder(target: str, progress: Progress) -> Embedder:
    """Open a run, a model folder, a Hub id or index:NAME for embedding, with or without a task head."""
    from llmkit.inference.trained_model import find_model_folder
    from llmkit.models import load, save, sentence_embedding

    folder = find_model_folder(target, progress)
    card = save.load_metadata(folder)
    tokenizer = load.load_tokenizer(folder, weights=not (card and card.adapter))
    if card and card.adapter:
        body, reach = _adapted(target, card, tokenizer, progress)
    else:
        body, reach = sentence_embedding.load_body(folder), load.get_max_length(folder, tokenizer)
    if sentence_embedding.is_gpt_type(body):
        progress.note(
            f"{target} is a GPT-type model ({body.config.model_type}), whose tokens attend to earlier tokens only; "
            "the embedding is the mean over all tokens"
        )
    return Embedder(body, tokenizer, min(MAX_LENGTH, reach))


def _adapted(target: str, card: ModelMetadata, tokenizer: Any, progress: Progress) -> tuple[Any, int]:
    """Return the body with the separate adapter merged into it, and the number of its positions."""
    from llmkit.assets import hub
    from llmkit.inference.trained_model import open_model
    from llmkit.models import load, lora

    merged = lora.merge_adapter(open_model(target, progress).model)
    return merged.base_model, load.get_max_length(hub.fetch_model(card.base, progress), tokenizer)


def vectors(
    session: Any, embedder: Embedder, texts: list[str], on_progress: Any
) -> tuple[NDArray[np.float32], int]:
    """Embed some texts.

    Args:
        session: The session that computes.
        embedder: The model.
        texts: The texts.
        on_progress: Called with the number of texts done and their total.

    Returns:
        Embeddings (texts, D) of length 1, NaN for blank texts, and the number of truncated texts.
    """
    from llmkit.data.encoding.encode import encode_texts
    from llmkit.data.encoding.features import Encoded
    from llmkit.engine.predict import predict
    from llmkit.inference.batches import make_batches
    from llmkit.models import sentence_embedding
    from llmkit.recipe.schema import Train

    found = np.full((len(texts), sentence_embedding.get_dimension(embedder.body)), np.nan, np.float32)
    real = [number for number, text in enumerate(texts) if text.strip()]
    if not real:
        return found, 0
    features = encode_texts(
        embedder.tokenizer,
        [texts[number] for number in real],
        max_length=embedder.max_length,
        truncation=True,
    )
    batches = make_batches(session, Encoded.from_batches([(0, features)]), {}, embedder.tokenizer, Train())
    outputs = predict(session, embedder.body, batches, sentence_embedding.embed, on_progress=on_progress)
    found[real] = outputs["embedding"]
    return found, features.counts.cut_examples
