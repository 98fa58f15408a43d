"""Longest common subsequences of many pairs at once, bit by bit: what ROUGE-L and ROUGE-Lsum count.

    lengths(match(texts, references, candidates))      # (P,)

A column of the classic table is one bit a reference token, 0 where the entry is one more than that of the token
before (Crochemore et al. 2001, Hyyrö 2004), and the next column is an addition away. Columns of many pairs are
numpy words of 64 bits side by side. Where pairs are few or long, `lcs_long` has them as Python integers instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from llmkit.metrics import lcs_long
from llmkit.metrics.matches import Matched
from llmkit.metrics.score import Ints

__all__ = ["lengths", "union_hits"]

Words = NDArray[np.uint64]  # (W, items): bit b of word w is slot 64 w + b of the item's reference

ONE, ALL = np.uint64(1), np.uint64(2**64 - 1)
ENOUGH = 8  # items a word from which numpy beats Python integers (measured)


def lengths(pairs: Matched) -> Ints:
    """The length (P,) of each pair's longest common subsequence."""
    words = _words(pairs)
    if pairs.size < ENOUGH * words:
        return lcs_long.lengths(pairs)
    side, table = pairs.candidates, _table(pairs, words)
    common = side.types < pairs.types  # the other tokens change nothing
    order, steps = _steps(side.types[common], np.bincount(side.pairs[common], minlength=pairs.size))
    column = np.full((words, pairs.size), ALL)
    for types in steps:
        _advance(column[:, : len(types)], table[:, types])
    found = np.empty(pairs.size, np.int64)
    found[order] = np.bitwise_count(~column).sum(axis=0, dtype=np.int64)
    return found


def union_hits(pairs: Matched) -> Ints:
    """The hits (P,) of ROUGE-Lsum (Lin 2004, section 3.2), as `_summary_level_lcs` of rouge_score counts them.

    Of each reference line the tokens that are in its LCS with any line of the candidate; a token counts at most
    as often as the candidate has it. An LCS is not unique: it is the one that rouge_score reads from its table.
    """
    words, lines = _words(pairs), pairs.candidates.lines
    if len(lines) < ENOUGH * words:
        return lcs_long.union_hits(pairs)
    table = _table(pairs, words)
    chosen = np.zeros((words, pairs.size), np.uint64)
    owners = pairs.candidates.pairs[lines]
    there = np.flatnonzero(np.diff(owners, prepend=-1))  # the first line of each candidate that has any
    chosen[:, owners[there]] = np.bitwise_or.reduceat(_chosen(pairs, table, lines, owners), there, axis=1)
    each = chosen[:, pairs.type_pairs] & table[:, :-1]
    hits = np.minimum(np.bitwise_count(each).sum(axis=0, dtype=np.int64), pairs.candidate_counts)
    return np.bincount(pairs.type_pairs, hits, pairs.size).astype(np.int64)


def _chosen(pairs: Matched, table: Words, lines: Ints, owners: Ints) -> Words:
    """The slots (W, lines) of each candidate line's LCS with every line of the reference.

    Reference lines lie side by side in one column; the free slot between two swallows what the addition carries.
    """
    side = pairs.candidates
    order, steps = _steps(side.types, np.diff(lines, append=len(side.types)))
    kept = _slots(pairs, len(table))[:, owners[order]]
    reach = _reach(kept, int(np.diff(pairs.references.lines, append=len(pairs.references.slots)).max()))
    column, columns, rows = kept.copy(), [], list(steps)
    for types in rows:
        after = column[:, : len(types)]
        _advance(after, table[:, types])
        after &= kept[:, : len(types)]
        columns.append(after.copy())
    found = np.empty_like(kept)
    found[:, order] = _read_back(table, kept, reach, rows, columns)
    return found


def _read_back(
    table: Words, kept: Words, reach: Sequence[Words], rows: Sequence[Ints], columns: Sequence[Words]
) -> Words:
    """Walk all tables from their last corner, as `_backtrack_norec` of rouge_score.

    At a candidate token it goes up the reference until the tokens match, which it takes, or the entry is one more
    than the one above (a 0 in the column): then it goes on to the candidate token before.
    """
    open_, chosen = kept.copy(), np.zeros_like(kept)  # open: slots that the walk may still reach
    for types, column in zip(reversed(rows), reversed(columns)):
        k, same = len(types), table[:, types]
        left = _filled_down((same | ~column) & open_[:, :k], reach)
        taken = left & ~_down(left) & same  # the highest slot of each reference line, where it matches
        chosen[:, :k] |= taken
        open_[:, :k] = left ^ taken
    return chosen


def _steps(types: Ints, lengths: Ints) -> tuple[Ints, Iterator[Ints]]:
    """Items by falling length, and the types of their first, second ... tokens, of those that are so long.

    types (n,) are those of item behind item, lengths (items,) say where each ends.
    """
    order = np.argsort(-lengths, kind="stable")
    starts, ordered = (np.cumsum(lengths) - lengths)[order], lengths[order]
    longest = int(ordered[0]) if len(ordered) else 0
    alive = np.searchsorted(-ordered, -np.arange(longest), side="left")  # items longer than 0, 1, ...
    return order, (types[starts[:k] + place] for place, k in enumerate(alive.tolist()))


def _advance(column: Words, same: Words) -> None:
    """The column of the next candidate token, in place, from where it equals the reference."""
    both = column & same
    rest = column ^ both
    np.bitwise_or(_sum(column, both), rest, out=column)


def _sum(column: Words, part: Words) -> Words:
    """column + part of integers of W words, modulo 2^(64 W); part has no bit that column lacks."""
    total = column + part
    carry = total[0] < column[0]
    for word in range(1, len(total)):
        total[word] += carry
        carry = (total[word] < column[word]) | (carry & (total[word] == column[word]))
    return total


def _down(slots: Words) -> Words:
    """Each bit one slot lower."""
    lower = slots >> ONE
    lower[:-1] |= slots[1:] << np.uint64(63)
    return lower


def _filled_down(slots: Words, reach: Sequence[Words]) -> Words:
    """All slots of a line up to its highest one here."""
    filled = slots
    for word in reversed(range(len(filled))):
        if word + 1 < len(filled):
            filled[word] |= (filled[word + 1] << np.uint64(63)) & reach[0][word, : filled.shape[1]]
        for doubling, inside in enumerate(reach):
            filled[word] |= (filled[word] >> np.uint64(1 << doubling)) & inside[word, : filled.shape[1]]
    return filled


def _reach(kept: Words, longest: int) -> list[Words]:
    """For 1, 2, 4 ... slots: those with as many neighbours above in their line, within the word, itself included."""
    reach = [kept]
    while (distance := 1 << len(reach)) < min(longest, 64):
        half = reach[-1]
        reach.append(half & (half >> np.uint64(distance // 2)))
    return reach


def _words(pairs: Matched) -> int:
    slots = pairs.references.slots
    return int(slots.max()) // 64 + 1 if len(slots) else 1


def _table(pairs: Matched, words: int) -> Words:
    """Where in its reference each type stands, (W, K + 1); the last column is that of all other tokens."""
    side = pairs.references
    table = _set(side.types, side.slots, words, pairs.types + 1)
    table[:, -1] = 0
    return table


def _slots(pairs: Matched, words: int) -> Words:
    """All slots of each reference, (W, P)."""
    return _set(pairs.references.pairs, pairs.references.slots, words, pairs.size)


def _set(items: Ints, slots: Ints, words: int, size: int) -> Words:
    """Bits (W, size) with each item's slots set. No item has a slot twice, so adding is setting."""
    bits = np.zeros(words * size, np.uint64)
    np.add.at(bits, (slots >> 6) * size + items, ONE << (slots & 63).astype(np.uint64))
    return bits.reshape(words, size)
