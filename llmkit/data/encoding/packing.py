"""Which tokens of which documents share a block: full blocks, the documents kept apart inside.

    pack([700, 90, 300], Room(max_length=512))
        [[Piece(0, 0, 512)],  [Piece(0, 512, 700), Piece(1, 0, 90), Piece(2, 0, 234)],  [Piece(2, 234, 300)]]

Documents follow each other into blocks; one that does not fit goes on in the next block. The pieces of a block are its
segments: positions restart with each, and attention stays inside (`models.packed`), so a packed block gives what its
pieces give apart. Trade-off: a document may be cut where a block ends, and what follows is read without what came
before, unless `context` repeats some of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Piece", "Room", "pack"]


@dataclass(frozen=True)
class Piece:
    """Tokens start to end of a document; the first `context` of them were in an earlier piece already."""

    document: int
    start: int
    end: int
    context: int = 0


@dataclass(frozen=True)
class Room:
    """What a block takes, in tokens.

    Each piece needs `around` places for special tokens, such as [CLS] and [SEP]. A piece that goes on with a document
    repeats the last `context` tokens. Unless packed, each piece is a block by itself.
    """

    max_length: int
    around: int = 0
    context: int = 0
    packed: bool = True

    @property
    def least(self) -> int:
        """Places that must be left in a block for a piece of a longer document: no crumbs at the ends of blocks."""
        return max(self.max_length // 8, self.around + self.context + 1)


def pack(lengths: Sequence[int], room: Room) -> list[list[Piece]]:
    """Blocks of at most room.max_length tokens, in order; every token of every document is new in just one piece."""
    assert room.max_length > room.around + room.context, "no place for new tokens"
    blocks: list[list[Piece]] = []
    left = 0
    for document, length in enumerate(lengths):
        done = 0
        while done < length:
            context = min(room.context, done)
            wanted = length - done + context + room.around
            if not blocks or not room.packed or left < min(wanted, room.least):
                blocks.append([])
                left = room.max_length
            size = min(wanted, left)
            start = done - context
            done = start + size - room.around
            blocks[-1].append(Piece(document, start, done, context))
            left -= size
    return blocks
