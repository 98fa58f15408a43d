"""Longest common subsequences (LCS) of many pairs of texts at once, bit-parallel: what ROUGE-L and ROUGE-Lsum count.

    lcs_lengths(Lanes(tokens, slots, references, candidates))      # (N,)

A column of the dynamic-programming table is one bit per reference token: 0 where the entry is one more than that of the
token before. The next column is one addition away. The columns of many pairs lie side by side in one Python integer,
each pair in a lane of its own; a free slot between two lanes absorbs the carry of the addition. Time grows with
candidate tokens x reference tokens / 64, regardless of how the tokens are distributed over pairs.

Shapes: N lanes, of which L are processed at once; S slots of a lane, T candidate tokens, m reference tokens.

Source: Crochemore et al. (2001), A fast and practical bit-vector algorithm for the longest common subsequence problem;
Hyyrö (2004), Bit-parallel LCS-length computation revisited.
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
Tokens = NDArray[np.int32]  # half the time of int64 when every slot is compared with every candidate token

SLOTS, CELLS = 1 << 16, 1 << 26  # largest L x S and L x S x T, unless L is 1: columns of 8 kB, masks of 8 MB
KEPT = 256  # columns of a lane recomputed at a time, at least
FREE, PADDING = -1, -2  # instead of a token


@dataclass(frozen=True, eq=False)
class Lanes:
    """Pairs of a reference and a candidate, as spans of the same array of tokens.

    Args:
        tokens: Tokens of all texts, (n,).
        slots: Position of each token in its reference, (n,), from any start. Where a slot is left free, a line ends,
            and no subsequence continues from one line into the next.
        references: Half-open spans [start, end) of tokens, (N, 2).
        candidates: Half-open spans [start, end) of tokens, (N, 2).
    """

    tokens: Ints
    slots: Ints
    references: Ints
    candidates: Ints


@dataclass(frozen=True, eq=False)
class _Group:
    """The lanes that are processed at once, side by side in one row of bits.

    Args:
        lanes: Their numbers, (L,).
        owners: Lane of each reference token, among the L, (m,).
        places: Index of each reference token in `Lanes.tokens`, (m,).
        bits: Bit of each reference token, (m,).
        full: A row with all these bits set.
        masks: For each candidate position, (T,), the bits of the reference tokens equal to the candidate's token.
    """

    lanes: Ints
    owners: Ints
    places: Ints
    bits: Ints
    full: int
    masks: Sequence[int]

    def has(self, row: int) -> Flags:
        """Return for each reference token whether its bit is set, (m,)."""
        octets = np.frombuffer(row.to_bytes(int(self.bits[-1]) // 8 + 1, "little"), np.uint8)
        return np.unpackbits(octets, bitorder="little")[self.bits].astype(bool)


def lcs_lengths(lanes: Lanes) -> Ints:
    """Compute the length of each lane's longest common subsequence, (N,); with several lines, the sum over lines."""
    lengths = np.zeros(len(lanes.references), np.int64)
    for group in _group_lanes(lanes):
        column = reduce(partial(_advance, group.full), group.masks, group.full)
        in_common = group.owners[group.has(group.full ^ column)]
        lengths[group.lanes] = np.bincount(in_common, minlength=len(group.lanes))
    return lengths


def lcs_tokens(lanes: Lanes) -> Flags:
    """Return which of the tokens (n,) are in the LCS of their reference line with the candidate of any lane.

    An LCS is not unique; this is the one that `_backtrack_norec` of the package rouge_score reads from its table.
    """
    chosen = np.zeros(len(lanes.tokens), bool)
    for group in _group_lanes(lanes):
        chosen[group.places[group.has(_backtrack(group.full, group.masks))]] = True
    return chosen


def _advance(full: int, column: int, same: int) -> int:
    """Return the column of the next candidate token; `same` marks the reference tokens equal to it."""
    both = column & same
    return (column + both | column ^ both) & full


def _backtrack(full: int, masks: Sequence[int]) -> int:
    """Walk through all tables at once, from their last corner to the first, and return the tokens taken.

    At a candidate token the walk goes up the reference until the tokens match (the token is taken) or the entry is one
    more than the one above (a 0 in the column). Then it goes on to the candidate token before.
    """
    # 1, 2, 4, ... with the slots that begin a run of this length within a line.
    reaches, distance, inside = [], 1, full
    while inside:
        reaches.append((distance, inside))
        inside &= inside >> distance
        distance *= 2
    open_, taken = full, 0  # open_: the slots of each line that the walk can still reach
    for same, column in _iterate_backwards(full, masks):
        left = (same | full ^ column) & open_
        for distance, inside in reaches:  # all slots up to the highest one of each line
            left |= left >> distance & inside
        matched = left & same & ~(left >> 1)
        taken |= matched
        open_ = left ^ matched
    return taken


def _iterate_backwards(full: int, masks: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the masks from the last to the first, each with its column.

    All columns of two long texts would take gigabytes: only the column before each block is kept, and those in a block
    are computed again.
    """
    advance, size = partial(_advance, full), max(KEPT, isqrt(len(masks)))
    blocks = [masks[start : start + size] for start in range(0, len(masks), size)]
    befores = [full]
    for block in blocks[:-1]:
        befores.append(reduce(advance, block, befores[-1]))
    for block, before in zip(reversed(blocks), reversed(befores)):
        columns = list(accumulate(block, advance, initial=before))[1:]
        yield from zip(reversed(block), reversed(columns))


def _group_lanes(lanes: Lanes) -> Iterator[_Group]:
    """Yield groups of lanes of similar size, as many as fit; lanes with nothing to compare are left out."""
    (first, end), (start, stop) = lanes.references.T, lanes.candidates.T
    nonempty = (first < end) & (start < stop)
    slots_N = np.zeros(len(nonempty), np.int64)  # slots of each lane
    slots_N[nonempty] = lanes.slots[end[nonempty] - 1] - lanes.slots[first[nonempty]] + 2
    order = np.lexsort((stop - start, slots_N >> 4))
    remaining = order[slots_N[order] > 0]
    while len(remaining):
        some = remaining[: SLOTS // 2]
        size = np.maximum.accumulate(slots_N[some]) * np.arange(1, len(some) + 1)
        fit = (size <= SLOTS) & (size * np.maximum.accumulate((stop - start)[some]) <= CELLS)
        group, remaining = np.split(remaining, [max(1, int(fit.sum()))])
        yield _make_group(lanes, group)


def _make_group(lanes: Lanes, group: Ints) -> _Group:
    owners, places = expand_spans(lanes.references[group])
    slots = lanes.slots[places] - lanes.slots[lanes.references[group, 0]][owners]
    tokens_LS = np.full((len(group), int(slots.max()) + 2), FREE, np.int32)  # the last slot stays free
    tokens_LS[owners, slots] = lanes.tokens[places]
    # The candidates' tokens are padded in front, which changes no column and comes last in the backward walk.
    spans = lanes.candidates[group]
    candidate_owners, candidate_places = expand_spans(spans)
    longest = int((spans[:, 1] - spans[:, 0]).max())
    candidates_LT = np.full((len(group), longest), PADDING, np.int32)
    candidates_LT[candidate_owners, longest - spans[candidate_owners, 1] + candidate_places] = lanes.tokens[
        candidate_places
    ]
    # The slots that equal each candidate token; in a single lane they are computed once for equal tokens.
    kinds_KL, steps = candidates_LT.T, np.arange(longest)
    if len(group) == 1:
        kinds, steps = np.unique(candidates_LT[0], return_inverse=True)
        kinds_KL = kinds[:, None]
    masks = [_as_row(tokens_LS == kinds_L[:, None]) for kinds_L in kinds_KL]
    bits = owners * tokens_LS.shape[1] + slots
    return _Group(
        group, owners, places, bits, _as_row(tokens_LS != FREE), [masks[step] for step in steps.tolist()]
    )


def _as_row(flags: Flags) -> int:
    return int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")
