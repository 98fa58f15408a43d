"""Longest common subsequences (LCS) of many pairs of texts at once, bit by bit: what ROUGE-L and ROUGE-Lsum count.

    lengths(Lanes(tokens, slots, references, candidates))      # (N,)

A column of the classic table is one bit for each reference token, 0 where the entry is one more than that of the
token before (Crochemore et al. 2001, Hyyrö 2004), and the next column is an addition away. The columns of many pairs
stand side by side in one Python integer, each in a lane of its own; a slot left free between two swallows what the
addition carries. So time goes with candidate tokens x reference tokens / 64, however the tokens are spread over pairs.

Letters: N lanes, of which L are worked on at once; S slots of a lane, T candidate tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from itertools import accumulate
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from llmkit.metrics.score import Ints
from llmkit.metrics.text.matches import expand_spans

__all__ = ["Lanes", "lcs_lengths", "lcs_tokens"]

Flags = NDArray[np.bool_]
Tokens = NDArray[np.int32]  # half the time of int64 where every slot is compared with every candidate token

SLOTS, CELLS = 1 << 16, 1 << 26  # most L x S and L x S x T, unless L is 1: columns of 8 kB, masks of 8 MB
KEPT = 256  # columns of a lane at a time, at least
FREE, PADDING = -1, -2  # in place of a token


@dataclass(frozen=True, eq=False)
class Lanes:
    """N references and N candidates, each a span [start, end) of the same tokens: both are (N, 2).

    slots (n,) are places of the tokens (n,) in a reference, from whatever start; where one is left free, a line
    ends, and no subsequence goes on from one line into the next.
    """

    tokens: Ints
    slots: Ints
    references: Ints
    candidates: Ints


@dataclass(frozen=True, eq=False)
class _Group:
    """The lanes (L,) worked on at once, side by side in one row of bits.

    Of each of their reference tokens (m,): its lane among the L, its place in `Lanes.tokens`, and its bit. full has all
    these bits; masks (T) are, for the candidate tokens at one place in all lanes, the bits of the tokens equal to them.
    """

    lanes: Ints
    owners: Ints
    places: Ints
    bits: Ints
    full: int
    masks: Sequence[int]

    def has(self, row: int) -> Flags:
        """Whose bit is set (m,)."""
        octets = np.frombuffer(row.to_bytes(int(self.bits[-1]) // 8 + 1, "little"), np.uint8)
        return np.unpackbits(octets, bitorder="little")[self.bits].astype(bool)


def lcs_lengths(lanes: Lanes) -> Ints:
    """The length (N,) of each lane's longest common subsequence; with several lines, the sum over them."""
    found = np.zeros(len(lanes.references), np.int64)
    for group in _groups(lanes):
        column = reduce(partial(_advance, group.full), group.masks, group.full)
        in_common = group.owners[group.has(group.full ^ column)]
        found[group.lanes] = np.bincount(in_common, minlength=len(group.lanes))
    return found


def lcs_tokens(lanes: Lanes) -> Flags:
    """Which of the tokens (n,) are in the LCS of their reference line with the candidate of any lane.

    An LCS is not unique: it is the one that `_backtrack_norec` of the package rouge_score reads from its table.
    """
    found = np.zeros(len(lanes.tokens), bool)
    for group in _groups(lanes):
        found[group.places[group.has(_read_back(group.full, group.masks))]] = True
    return found


def _advance(full: int, column: int, same: int) -> int:
    """The column of the next candidate token, from where it equals the reference."""
    both = column & same
    return (column + both | column ^ both) & full


def _read_back(full: int, masks: Sequence[int]) -> int:
    """Walk all tables at once, from their last corner to the first.

    At a candidate token it goes up the reference until the tokens match, which it takes, or the entry is one more
    than the one above (a 0 in the column): then it goes on to the candidate token before.
    """
    reaches = list(_reaches(full))
    open_, taken = full, 0  # open: the slots of each line that the walk may still come to
    for same, column in _backwards(full, masks):
        left = (same | full ^ column) & open_
        for distance, inside in reaches:  # all slots up to the highest one of each line
            left |= left >> distance & inside
        matched = left & same & ~(left >> 1)
        taken |= matched
        open_ = left ^ matched
    return taken


def _backwards(full: int, masks: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The masks from the last to the first, each with its column.

    All columns of two long texts would take gigabytes: those before each block are kept, the others made anew.
    """
    advance, size = partial(_advance, full), max(KEPT, isqrt(len(masks)))
    blocks = [masks[start : start + size] for start in range(0, len(masks), size)]
    befores = [full]
    for block in blocks[:-1]:
        befores.append(reduce(advance, block, befores[-1]))
    for block, before in zip(reversed(blocks), reversed(befores)):
        columns = list(accumulate(block, advance, initial=before))[1:]
        yield from zip(reversed(block), reversed(columns))


def _reaches(full: int) -> Iterator[tuple[int, int]]:
    """1, 2, 4 ... with those slots that begin so long a run within a line."""
    distance, inside = 1, full
    while inside:
        yield distance, inside
        inside &= inside >> distance
        distance *= 2


def _groups(lanes: Lanes) -> Iterator[_Group]:
    for group in _alike(*_sizes(lanes)):
        owners, places = expand_spans(lanes.references[group])
        slots = lanes.slots[places] - lanes.slots[lanes.references[group, 0]][owners]
        tokens_LS = np.full((len(group), int(slots.max()) + 2), FREE, np.int32)  # the last slot stays free
        tokens_LS[owners, slots] = lanes.tokens[places]
        masks = _masks(tokens_LS, _candidates(lanes, group))
        bits = owners * tokens_LS.shape[1] + slots
        yield _Group(group, owners, places, bits, _row(tokens_LS != FREE), masks)


def _sizes(lanes: Lanes) -> tuple[Ints, Ints]:
    """Slots and candidate tokens of each lane, (N,) both; 0 slots where there is nothing to compare."""
    (first, end), (start, stop) = lanes.references.T, lanes.candidates.T
    there = (first < end) & (start < stop)
    slots = np.zeros(len(there), np.int64)
    slots[there] = lanes.slots[end[there] - 1] - lanes.slots[first[there]] + 2
    return slots, stop - start


def _alike(slots: Ints, tokens: Ints) -> Iterator[Ints]:
    """Numbers of lanes that are similar in size, as many as may be worked on at once."""
    order = np.lexsort((tokens, slots >> 4))
    rest = order[slots[order] > 0]
    while len(rest):
        some = rest[: SLOTS // 2]
        size = np.maximum.accumulate(slots[some]) * np.arange(1, len(some) + 1)
        fit = (size <= SLOTS) & (size * np.maximum.accumulate(tokens[some]) <= CELLS)
        group, rest = np.split(rest, [max(1, int(fit.sum()))])
        yield group


def _candidates(lanes: Lanes, group: Ints) -> Tokens:
    """Their tokens (L, T), padded in front: that changes no column, and the walk is over when it comes there."""
    spans = lanes.candidates[group]
    owners, places = expand_spans(spans)
    longest = int((spans[:, 1] - spans[:, 0]).max())
    tokens_LT = np.full((len(group), longest), PADDING, np.int32)
    tokens_LT[owners, longest - spans[owners, 1] + places] = lanes.tokens[places]
    return tokens_LT


def _masks(tokens_LS: Tokens, candidates_LT: Tokens) -> list[int]:
    """For each candidate token (T) the slots that equal it; in a lane alone they are made once for equal tokens."""
    kinds_KL, steps = candidates_LT.T, np.arange(candidates_LT.shape[1])
    if len(tokens_LS) == 1:
        kinds, steps = np.unique(candidates_LT[0], return_inverse=True)
        kinds_KL = kinds[:, None]
    masks = [_row(tokens_LS == kinds_L[:, None]) for kinds_L in kinds_KL]
    return [masks[step] for step in steps.tolist()]


def _row(flags: Flags) -> int:
    return int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")
