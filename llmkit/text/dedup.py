"""Near-duplicate texts: MinHash signatures, candidates by banding, verified by the true Jaccard similarity.

    near_pairs(train_texts, [test_texts])   ->   [[(812, 40, 0.93), ...]]   row of train, row of test, similarity

A text is its set of character 5-grams after `normalize.canonical`. Two texts agree in one MinHash with a
probability equal to the Jaccard similarity of their sets; 25 bands of 5 find a pair of 0.8 with probability
0.99995 and one of 0.3 with 0.06. Time is linear in the characters (about 1 s for 10,000 texts of 120
characters), also where thousands of texts share a template: only the most promising candidates of a row are
looked at.

Source: Broder, On the resemblance and containment of documents (1997); banding as in Leskovec, Rajaraman and
Ullman, Mining of Massive Datasets, chapter 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray

from llmkit.text.normalize import normalize_text

__all__ = ["jaccard", "minhash_signatures", "pair_near_duplicates"]

SHINGLE = 5  # characters
HASHES = 128
BANDS, ROWS = 25, 5  # 125 of the 128 hashes
BLOCK_CHARACTERS = 1 << 15  # hashed at once: 256 kB a hash stay in the cache of a core
BLOCK_TEXTS = 20_000  # of the first side, joined at once
BUCKET = 16  # texts looked at in one bucket of one band
TRIES = 16  # candidates of one row that are verified
SLACK = 0.15  # four standard deviations of a similarity of 0.8 estimated from 128 hashes

Hashes = NDArray[np.uint32]  # (N, HASHES)


def pair_near_duplicates(
    a: Iterable[str], others: Sequence[Sequence[str]], threshold: float = 0.8
) -> list[list[tuple[int, int, float]]]:
    """For each text of each `b` of the others with a text of `a` this similar or more: (row of a, row of b, Jaccard).

    One pair for each such row of b, in their order, with the nearest text found. `a` is gone through once, and need
    not fit into memory. threshold is meant to be 0.7 or more: below, the bands miss pairs.
    """
    hashes = [minhash_signatures(b) for b in others]
    best: list[dict[int, tuple[int, float]]] = [{} for _ in others]
    left, start = iter(a), 0
    while block := list(islice(left, BLOCK_TEXTS)):
        block_hashes = minhash_signatures(block)
        for found, b, b_hashes in zip(best, others, hashes, strict=True):
            for i, j, similarity in _near_in_block(block, b, block_hashes, b_hashes, threshold):
                if similarity > found.get(j, (0, 0.0))[1]:
                    found[j] = (start + i, similarity)
        start += len(block)
    return [[(i, j, similarity) for j, (i, similarity) in sorted(found.items())] for found in best]


def minhash_signatures(texts: Sequence[str]) -> Hashes:
    """MinHash signatures, shape (N, 128): the least value of each hash function over a text's shingles."""
    out = np.empty((len(texts), HASHES), np.uint32)
    for start, stop in _blocks(texts):
        shingles, offsets = _shingle_hashes([normalize_text(text) for text in texts[start:stop]])
        hashed = np.empty_like(shingles)
        for k, (factor, offset) in enumerate(_FUNCTIONS):  # multiply-shift (Dietzfelbinger 1996)
            np.add(np.multiply(shingles, factor, out=hashed), offset, out=hashed)
            out[start:stop, k] = np.minimum.reduceat(hashed, offsets) >> np.uint64(32)
    return out


def jaccard(a: str, b: str) -> float:
    """Shared shingles over all shingles of both: 1 for the same text up to case and white space."""
    first, second = _shingles(a), _shingles(b)
    return len(first & second) / len(first | second)


def _functions() -> list[tuple[np.uint64, np.uint64]]:
    """(odd factor, offset) of each hash function: fixed, so that signatures can be compared across runs."""
    rng = np.random.default_rng(1997)
    factors = rng.integers(0, 2**63, HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    return list(zip(factors, rng.integers(0, 2**63, HASHES, dtype=np.uint64)))


_FUNCTIONS = _functions()


def _shingles(text: str) -> set[str]:
    text = normalize_text(text)
    return {text[i : i + SHINGLE] for i in range(max(1, len(text) - SHINGLE + 1))}


def _blocks(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Ranges of texts of about BLOCK_CHARACTERS each."""
    ends = np.cumsum([len(text) for text in texts]) if texts else np.zeros(0, np.int64)
    cuts = np.flatnonzero(np.diff(ends // BLOCK_CHARACTERS)) + 1
    bounds = [0, *map(int, cuts), len(texts)]
    return [(start, stop) for start, stop in pairwise(bounds) if start < stop]


def _shingle_hashes(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """One 64-bit hash for each shingle of each text, text after text, and where each text begins.

    A text shorter than a shingle is filled with zeros, so every text has at least one.
    """
    padded = [text.ljust(SHINGLE, "\0") for text in texts]
    lengths = np.array([len(text) for text in padded])
    code = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    hashed = np.zeros(len(code) - SHINGLE + 1, np.uint64)
    for i in range(SHINGLE):
        hashed = _mix(hashed ^ code[i : len(hashed) + i])
    ends = np.cumsum(lengths)
    inside = np.ones(len(code), bool)
    for i in range(1, SHINGLE):
        inside[ends - i] = False  # would reach into the next text
    offsets = np.concatenate(([0], np.cumsum(lengths - SHINGLE + 1)[:-1]))
    return hashed[inside[: len(hashed)]], offsets


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele et al. 2014): every input bit moves every output bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9) + np.uint64(
        0x9E3779B97F4A7C15
    )
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _near_in_block(
    a: Sequence[str], b: Sequence[str], a_hashes: Hashes, b_hashes: Hashes, threshold: float
) -> list[tuple[int, int, float]]:
    """The nearest text of this block for each row of b that has one."""
    rows_a, rows_b = _candidates(a_hashes, b_hashes)
    estimate = _agreement(a_hashes, b_hashes, rows_a, rows_b)
    promising = estimate >= threshold - SLACK
    rows_a, rows_b, estimate = rows_a[promising], rows_b[promising], estimate[promising]
    order = np.lexsort((rows_a, -estimate, rows_b))  # by row of b, the most promising first
    found: dict[int, tuple[int, float]] = {}
    tries: dict[int, int] = {}
    for i, j in zip(rows_a[order].tolist(), rows_b[order].tolist()):
        tries[j] = tries.get(j, 0) + 1
        if found.get(j, (0, 0.0))[1] == 1.0 or tries[j] > TRIES:
            continue
        similarity = jaccard(a[i], b[j])
        if similarity >= threshold and similarity > found.get(j, (0, 0.0))[1]:
            found[j] = (i, similarity)
    return [(i, j, similarity) for j, (i, similarity) in found.items()]


def _candidates(a: Hashes, b: Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of rows that agree in all hashes of a band, once; at most BUCKET a band for a row of b."""
    pairs = [np.zeros(0, np.int64)]
    for a_keys, b_keys in zip(_band_keys(a), _band_keys(b)):
        order = np.argsort(a_keys, kind="stable")
        left = np.searchsorted(a_keys[order], b_keys, "left")
        right = np.minimum(np.searchsorted(a_keys[order], b_keys, "right"), left + BUCKET)
        rows_b = np.repeat(np.arange(len(b)), right - left)
        first = np.repeat(left - np.concatenate(([0], np.cumsum(right - left)[:-1])), right - left)
        pairs.append(order[first + np.arange(len(rows_b))] * len(b) + rows_b)
    both = np.unique(np.concatenate(pairs))
    return both // max(1, len(b)), both % max(1, len(b))


def _band_keys(hashes: Hashes) -> list[NDArray[np.uint64]]:
    """One number for the hashes of a band, for each band: shape (N,) each."""
    keys = []
    for band in range(BANDS):
        key = np.zeros(len(hashes), np.uint64)
        for k in range(band * ROWS, (band + 1) * ROWS):
            key = _mix(key ^ hashes[:, k].astype(np.uint64))
        keys.append(key)
    return keys


def _agreement(
    a: Hashes, b: Hashes, rows_a: NDArray[np.int64], rows_b: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Share of equal hashes of each pair, in slices of 32 MB: an estimate of the Jaccard similarity."""
    step = 1 << 16
    shares = [
        (a[rows_a[i : i + step]] == b[rows_b[i : i + step]]).mean(axis=1) for i in range(0, len(rows_a), step)
    ]
    return np.concatenate([np.zeros(0), *shares])
