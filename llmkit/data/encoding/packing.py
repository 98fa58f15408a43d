"""Pack documents into blocks of max_length tokens, several documents to a block.

    pack_documents([700, 90, 300], BlockLayout(max_length=512))
        [[Piece(0, 0, 512)],  [Piece(0, 512, 700), Piece(1, 0, 90), Piece(2, 0, 234)],  [Piece(2, 234, 300)]]

Documents fill the blocks one after the other; a document that does not fit continues in the next block. The pieces of
a block are its segments: positions restart at each segment and attention stays inside it (`models.packed`), so a packed
block gives the same results as its pieces would alone. The trade-off: a document may be split at the end of a block,
and its next piece is read without the text before it, unless `context` repeats some of that text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["BlockLayout", "Piece", "pack_documents"]


@dataclass(frozen=True)
class Piece:
    """Tokens start to end of a document; the first `context` tokens repeat the end of the piece before."""

    document: int
    start: int
    end: int
    context: int = 0


@dataclass(frozen=True)
class BlockLayout:
    """How blocks are filled; all numbers count tokens.

    Attributes:
        max_length: The size of a block.
        num_special: Special tokens of each piece, such as [CLS] and [SEP].
        context: Tokens of the document that a later piece repeats from the piece before.
        packed: Put several pieces into a block; otherwise each piece is a block.
    """

    max_length: int
    num_special: int = 0
    context: int = 0
    packed: bool = True

    @property
    def min_space(self) -> int:
        """The smallest space at the end of a block that a piece of a longer document may start in."""
        return max(self.max_length // 8, self.num_special + self.context + 1)


def pack_documents(lengths: Sequence[int], layout: BlockLayout) -> list[list[Piece]]:
    """Pack documents of these lengths into blocks, in order. Each token is new in exactly one piece."""
    assert layout.max_length > layout.num_special + layout.context, "no space for new tokens"
    blocks: list[list[Piece]] = []
    space = 0
    for document, length in enumerate(lengths):
        done = 0
        while done < length:
            context = min(layout.context, done)
            needed = length - done + context + layout.num_special
            if not blocks or not layout.packed or space < min(needed, layout.min_space):
                blocks.append([])
                space = layout.max_length
            size = min(needed, space)
            start = done - context
            done = start + size - layout.num_special
            blocks[-1].append(Piece(document, start, done, context))
            space -= size
    return blocks
