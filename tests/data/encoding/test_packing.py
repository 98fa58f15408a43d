"""Tests of the packing of documents into blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.data.encoding.packing import BlockLayout, Piece, pack_documents


def test_documents_fill_blocks_and_continue_in_the_next_one() -> None:
    assert pack_documents([7, 2, 6], BlockLayout(max_length=5)) == [
        [Piece(0, 0, 5)],
        [Piece(0, 5, 7), Piece(1, 0, 2), Piece(2, 0, 1)],
        [Piece(2, 1, 6)],
    ]


def test_without_packing_each_piece_is_a_block() -> None:
    assert pack_documents([7, 2], BlockLayout(max_length=5, packed=False)) == [
        [Piece(0, 0, 5)],
        [Piece(0, 5, 7)],
        [Piece(1, 0, 2)],
    ]


def test_context_is_repeated_only_where_a_document_continues() -> None:
    assert pack_documents([7, 2], BlockLayout(max_length=4, context=2, packed=False)) == [
        [Piece(0, 0, 4)],
        [Piece(0, 2, 6, context=2)],
        [Piece(0, 4, 7, context=2)],
        [Piece(1, 0, 2)],
    ]


def test_pieces_leave_space_for_special_tokens() -> None:
    assert pack_documents([3, 1, 1], BlockLayout(max_length=8, num_special=2)) == [
        [Piece(0, 0, 3), Piece(1, 0, 1)],
        [Piece(2, 0, 1)],
    ]


def test_no_long_document_starts_in_a_small_space() -> None:
    """1 of 16 tokens is left, less than an eighth."""
    assert pack_documents([15, 9], BlockLayout(max_length=16)) == [[Piece(0, 0, 15)], [Piece(1, 0, 9)]]
    assert pack_documents([15, 1], BlockLayout(max_length=16)) == [[Piece(0, 0, 15), Piece(1, 0, 1)]]


def test_blocks_without_space_for_new_tokens_are_refused() -> None:
    with pytest.raises(AssertionError, match="no space"):
        pack_documents([3], BlockLayout(max_length=2, num_special=2))


@given(
    st.lists(st.integers(0, 40), max_size=12),
    st.integers(5, 20),
    st.sampled_from([0, 2]),
    st.sampled_from([0, 1, 2]),
    st.booleans(),
)
def test_every_token_is_new_in_exactly_one_piece(
    lengths: list[int], max_length: int, num_special: int, context: int, packed: bool
) -> None:
    blocks = pack_documents(lengths, BlockLayout(max_length, num_special, context, packed))
    pieces = [piece for block in blocks for piece in block]
    new = [(p.document, token) for p in pieces for token in range(p.start + p.context, p.end)]
    assert new == [(number, token) for number, length in enumerate(lengths) for token in range(length)]
    assert all(0 <= piece.context <= context and piece.start + piece.context < piece.end for piece in pieces)
    for block in blocks:
        assert 0 < sum(piece.end - piece.start + num_special for piece in block) <= max_length
        assert packed or len(block) == 1
