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

REACH = 512  # tokens; longer texts are cut, also where the positions reach further


@dataclass(frozen=True)
class Embedder:
    """What turns texts into vectors: a body, its tokenizer, and where texts are cut."""

    body: Any
    tokenizer: Any
    max_length: int  # tokens


def open_embedder(target: str, progress: Progress) -> Embedder:
    from llmkit.inference.trained_model import model_folder
    from llmkit.models import load, save, sentence_embedding

    folder = model_folder(target, progress)
    card = save.load_metadata(folder)
    tokenizer = load.load_tokenizer(folder, weights=not (card and card.adapter))
    if card and card.adapter:
        body, reach = _adapted(target, card, tokenizer, progress)
    else:
        body, reach = sentence_embedding.load_body(folder), load.get_max_length(folder, tokenizer)
    if sentence_embedding.is_gpt_type(body):
        progress.note(
            f"{target}: a GPT type ({body.config.model_type}), whose tokens see only those before them; "
            "the embedding is the mean over all of them"
        )
    return Embedder(body, tokenizer, min(REACH, reach))


def _adapted(target: str, card: ModelMetadata, tokenizer: Any, progress: Progress) -> tuple[Any, int]:
    """The body with a kept adapter merged into it, and the most tokens that its positions reach."""
    from llmkit.assets import hub
    from llmkit.inference.trained_model import open_model
    from llmkit.models import load, lora

    merged = lora.merge_adapter(open_model(target, progress).model)
    return merged.base_model, load.get_max_length(hub.fetch_model(card.base, progress), tokenizer)


def vectors(
    session: Any, embedder: Embedder, texts: list[str], so_far: Any
) -> tuple[NDArray[np.float32], int]:
    """The embeddings (texts, D) of these texts, NaN for blank ones, and how many of them were cut."""
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
    outputs = predict(session, embedder.body, batches, sentence_embedding.embed, on_progress=so_far)
    found[real] = outputs["embedding"]
    return found, features.counts.cut_examples
