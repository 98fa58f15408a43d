"""Texts to vectors in the order they came, and the texts nearest to one of them, in flat memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from operator import length_hint
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import RecipeError
from llmkit.base.progress import SILENT, Progress
from llmkit.inference.embedding import open_embedder, vectors

if TYPE_CHECKING:
    pass

__all__ = ["Embedding", "Neighbour", "embed", "nearest"]

CHUNK = 4096  # texts sorted by length together
DECIMALS = 6  # of a similarity: how it is padded changes a vector by less, so equal texts tie


@dataclass(frozen=True, eq=False)
class Embedding:
    """A text and its vector, float32 (D,), of length 1; of a blank text all NaN."""

    text: str
    vector: NDArray[np.float32]

    @property
    def blank(self) -> bool:
        return bool(np.isnan(self.vector[0]))


@dataclass(frozen=True)
class Neighbour:
    """One of the nearest texts. similarity is the cosine; rank and row (its place among the texts) count from 1."""

    rank: int
    similarity: float
    row: int
    text: str


def embed(target: str, texts: Iterable[str], *, progress: Progress = SILENT) -> Iterator[Embedding]:
    """An Embedding for each text: the mean over its tokens' last hidden states, of length 1.

    target: a run folder, a model folder, a Hub id, or index:NAME; any body will do, with a task head or without.
    Reads on only as embeddings are taken. Computes in fp32 on any device.
    """
    from llmkit.engine import session as sessions

    embedder = open_embedder(target, progress)
    waiting, expected = iter(texts), length_hint(texts)
    blank = cut = done = 0
    with sessions.start(seed=0, precision="fp32") as session:
        embedder.body.to(session.device)
        while chunk := list(islice(waiting, CHUNK)):

            def so_far(here: int, _all: int, before: int = done) -> None:
                reached = before + here
                progress.advance("embedding", reached, max(expected, reached + 1), "texts")

            found, cut_here = vectors(session, embedder, chunk, so_far)
            cut += cut_here
            blank += int(np.isnan(found[:, 0]).sum())
            yield from map(Embedding, chunk, found)
            done += len(chunk)
    progress.advance("embedding", done, done, "texts")
    if blank:
        progress.note(f"{blank} blank texts have no embedding (null in JSON, NaN in .npy)")
    if cut:
        progress.note(f"{cut} texts were cut to {embedder.max_length} tokens")


def nearest(
    target: str, query: str, texts: Iterable[str], *, top: int = 5, progress: Progress = SILENT
) -> list[Neighbour]:
    """The `top` texts of the highest cosine similarity to the query, by exact search; ties by order.

    Blank texts are nobody's neighbours, so there can be fewer than `top`. Raises RecipeError U01 when nothing is left
    to compare, or the query is blank.
    """
    if not query.strip():
        raise RecipeError("U01", "--near", "the text is blank", "give a text with words in it")
    stream = embed(target, chain([query], texts), progress=progress)
    asked = next(stream).vector
    best: list[tuple[float, int, str]] = []
    first = 1
    while block := list(islice(stream, CHUNK)):
        similarities = np.stack([embedding.vector for embedding in block]).astype(np.float64) @ asked
        found = [
            (float(similarity), row, embedding.text)
            for row, (similarity, embedding) in enumerate(zip(similarities.round(DECIMALS), block), first)
            if not embedding.blank
        ]
        best = heapq.nsmallest(top, [*best, *found], key=lambda one: (-one[0], one[1]))
        first += len(block)
    if not best:
        message = "there is no text to compare it with, or only blank ones"
        raise RecipeError("U01", "--near", message, "give texts behind the model, with --file or a pipe")
    return [Neighbour(rank, *one) for rank, one in enumerate(best, 1)]
