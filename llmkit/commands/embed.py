"""Compute sentence embeddings and find the most similar texts, in constant memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from operator import length_hint

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import RecipeError
from llmkit.base.progress import SILENT, Progress
from llmkit.inference.embedding import embed_texts, open_embedder

__all__ = ["Embedding", "Neighbour", "embed", "nearest"]

CHUNK = 4096  # texts sorted by length together
DECIMALS = 6  # of a similarity: padding changes an embedding by less, so equal texts tie


@dataclass(frozen=True, eq=False)
class Embedding:
    """A text and its embedding, float32 (D,), of length 1; all NaN for a blank text."""

    text: str
    vector: NDArray[np.float32]

    @property
    def blank(self) -> bool:
        return bool(np.isnan(self.vector[0]))


@dataclass(frozen=True)
class Neighbour:
    """One of the most similar texts: its cosine similarity, its rank and its row among the texts, both from 1."""

    rank: int
    similarity: float
    row: int
    text: str


def embed(target: str, texts: Iterable[str], *, progress: Progress = SILENT) -> Iterator[Embedding]:
    """Embed texts: the mean of the last hidden states over the tokens, scaled to length 1, in float32.

    Args:
        target: A run folder, a model folder, a Hub id, or index:NAME, with or without a task head.
        texts: The texts. Read lazily.
        progress: Receives messages and progress.

    Yields:
        One embedding per text, in input order.
    """
    from llmkit.engine import session as sessions

    embedder = open_embedder(target, progress)
    remaining, expected = iter(texts), length_hint(texts)
    blank = truncated = done = 0
    with sessions.start(seed=0, precision="fp32") as session:
        embedder.body.to(session.device)  # type: ignore[arg-type]  # the decorated method loses its type
        while chunk := list(islice(remaining, CHUNK)):

            def advance(done_in_chunk: int, _total: int, done_before: int = done) -> None:
                count = done_before + done_in_chunk
                progress.advance("embedding", count, max(expected, count + 1), "texts")

            vectors, truncated_in_chunk = embed_texts(session, embedder, chunk, advance)
            truncated += truncated_in_chunk
            blank += int(np.isnan(vectors[:, 0]).sum())
            yield from map(Embedding, chunk, vectors)
            done += len(chunk)
    progress.advance("embedding", done, done, "texts")
    if blank:
        progress.note(f"{blank} blank texts have no embedding (null in JSON, NaN in .npy)")
    if truncated:
        progress.note(f"{truncated} texts were truncated to {embedder.max_length} tokens")


def nearest(
    target: str, query: str, texts: Iterable[str], *, top: int = 5, progress: Progress = SILENT
) -> list[Neighbour]:
    """Find the texts with the highest cosine similarity to a query, by exact search.

    Args:
        target: A run folder, a model folder, a Hub id, or index:NAME.
        query: The text to compare with.
        texts: The texts to search. Blank texts are skipped.
        top: Number of texts to return; fewer where there are fewer texts.
        progress: Receives messages and progress.

    Returns:
        The most similar texts first; equal similarities in input order.

    Raises:
        RecipeError: U01, when the query is blank or there is no text to compare it with.
    """
    if not query.strip():
        raise RecipeError("U01", "--near", "the text is blank", "give a text that is not blank")
    stream = embed(target, chain([query], texts), progress=progress)
    query_vector = next(stream).vector
    best: list[tuple[float, int, str]] = []  # similarity, row, text
    first_row = 1
    while block := list(islice(stream, CHUNK)):
        similarities = np.stack([embedding.vector for embedding in block]).astype(np.float64) @ query_vector
        candidates = [
            (float(similarity), row, embedding.text)
            for row, (similarity, embedding) in enumerate(zip(similarities.round(DECIMALS), block), first_row)
            if not embedding.blank
        ]
        best = heapq.nsmallest(top, [*best, *candidates], key=lambda item: (-item[0], item[1]))
        first_row += len(block)
    if not best:
        message = "there are no texts to compare with, or only blank ones"
        raise RecipeError("U01", "--near", message, "give texts as arguments, with --file or through a pipe")
    return [Neighbour(rank, *item) for rank, item in enumerate(best, 1)]
