"""Blocks of tokens from documents: full, but with the documents kept apart inside.

    pack([Tokens(ids, {"labels": labels}), ...], Room(max_length=512))

Documents follow each other into blocks; one that does not fit goes on in the next block. A block's pieces are its
segments, numbered from 1: positions restart with each, and attention must stay inside (`models.packed`), so a
packed block gives what its pieces give apart. Trade-off: a document may be cut where a block ends, and what follows
is read without what came before, unless `context` repeats some of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["Room", "Tokens", "pack"]

Ints = NDArray[np.int64]
Block = dict[str, list[int]]


@dataclass(frozen=True)
class Tokens:
    """A document: its ids (T,), and columns (T,) that go with them."""

    ids: Ints
    beside: Mapping[str, Ints] = field(default_factory=dict)


@dataclass(frozen=True)
class Room:
    """What a block takes.

    before and after are ids around each piece, such as [CLS] and [SEP]. A piece that goes on with a document begins
    with the last `context` tokens again. Unless packed, each piece is a block by itself.
    """

    max_length: int
    before: Sequence[int] = ()
    after: Sequence[int] = ()
    context: int = 0
    packed: bool = True

    @property
    def around(self) -> int:
        """Places that a piece takes beside its own tokens."""
        return len(self.before) + len(self.after)

    @property
    def least(self) -> int:
        """Places that must be left in a block for a long document to begin or go on there."""
        return max(self.max_length // 8, self.around + self.context + 1)


def pack(documents: Iterable[Tokens], room: Room, fill: Mapping[str, int]) -> list[Block]:
    """Blocks of at most room.max_length ids with `input_ids`, `segments` and the documents' columns, in order.

    fill: what stands in each of the documents' columns at the ids before and after a piece, and, for those named
    `labels`, at repeated context.
    """
    assert room.max_length > room.around + room.context, "no place for new tokens"
    blocks: list[Block] = []
    left = 0
    for document in documents:
        first = 0  # of the tokens that no piece holds yet
        while first < len(document.ids):
            context = min(room.context, first)
            wanted = len(document.ids) - first + context + room.around
            if not blocks or left < min(wanted, room.least) or not room.packed:
                blocks.append({name: [] for name in ("input_ids", "segments", *fill)})
                left = room.max_length
            size = min(wanted, left)
            end = first - context + size - room.around
            _append(blocks[-1], document, slice(first - context, end), context, room, fill)
            left -= size
            first = end
    return blocks


def _append(
    block: Block, document: Tokens, span: slice, context: int, room: Room, fill: Mapping[str, int]
) -> None:
    """Put a piece at the end of the block, as its next segment."""
    ids = [*room.before, *document.ids[span].tolist(), *room.after]
    segment = 1 + (block["segments"][-1] if block["segments"] else 0)
    block["input_ids"] += ids
    block["segments"] += [segment] * len(ids)
    for name, value in fill.items():
        own = document.beside[name][span].tolist()
        if name == "labels":
            own[:context] = [value] * context
        block[name] += [value] * len(room.before) + own + [value] * len(room.after)
