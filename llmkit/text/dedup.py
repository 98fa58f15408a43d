"""Find near-duplicate texts: MinHash signatures, candidates by banding, verified by the exact Jaccard similarity.

    pair_near_duplicates(train_texts, [test_texts])   ->   [[(812, 40, 0.93), ...]]   train row, test row, similarity

A text is represented by the set of its character 5-grams after `normalize_text`. The probability that two texts agree
in one MinHash equals the Jaccard similarity of their sets; 25 bands of 5 hashes find a pair of similarity 0.8 with
probability 0.99995, and one of 0.3 with 0.06. Time is linear in the number of characters (about 1 s for 10,000 texts of
120 characters), even if thousands of texts share a template, because only the most promising candidates of a row are
compared.

Source: Broder (1997), On the resemblance and containment of documents; banding as in Leskovec, Rajaraman and Ullman,
Mining of Massive Datasets, chapter 3.
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
BLOCK_CHARACTERS = 1 << 15  # hashed at once: 256 kB per hash stay in the cache of a core
BLOCK_TEXTS = 20_000  # texts of the first side joined at once
BUCKET = 16  # texts looked at in one bucket of one band
TRIES = 16  # candidates of one row that are verified
SLACK = 0.15  # four standard deviations of a similarity of 0.8 estimated from 128 hashes

Hashes = NDArray[np.uint32]  # (N, HASHES)
Pair = tuple[int, int, float]  # row of the first side, row of the second side, Jaccard similarity


def pair_near_duplicates(
    texts: Iterable[str], others: Sequence[Sequence[str]], threshold: float = 0.8
) -> list[list[Pair]]:
    """Find for each row of several collections the most similar text of a first collection.

    Args:
        texts: The first collection; it is read once and need not fit into memory.
        others: The collections to look up.
        threshold: Least Jaccard similarity, meant to be 0.7 or more: below that the bands miss pairs.

    Returns:
        For each of the others, in order, (row in `texts`, row in the other, similarity) of each row that has a text of
        at least this similarity, sorted by its row.
    """
    other_hashes = [minhash_signatures(other) for other in others]
    best: list[dict[int, tuple[int, float]]] = [{} for _ in others]
    remaining, start = iter(texts), 0
    while block := list(islice(remaining, BLOCK_TEXTS)):
        hashes = minhash_signatures(block)
        for nearest, other, hashes_of_other in zip(best, others, other_hashes, strict=True):
            for i, j, similarity in _pair_block(block, other, hashes, hashes_of_other, threshold):
                if similarity > nearest.get(j, (0, 0.0))[1]:
                    nearest[j] = (start + i, similarity)
        start += len(block)
    return [[(i, j, similarity) for j, (i, similarity) in sorted(nearest.items())] for nearest in best]


def minhash_signatures(texts: Sequence[str]) -> Hashes:
    """Compute MinHash signatures, (N, 128): the least value of each hash function over the shingles of a text."""
    out = np.empty((len(texts), HASHES), np.uint32)
    ends = np.cumsum([len(text) for text in texts]) if texts else np.zeros(0, np.int64)
    cuts = np.flatnonzero(np.diff(ends // BLOCK_CHARACTERS)) + 1
    for start, stop in pairwise([0, *map(int, cuts), len(texts)]):
        if start == stop:
            continue
        shingles, offsets = _hash_shingles([normalize_text(text) for text in texts[start:stop]])
        hashed = np.empty_like(shingles)
        for k, (factor, offset) in enumerate(_FUNCTIONS):
            np.add(np.multiply(shingles, factor, out=hashed), offset, out=hashed)
            out[start:stop, k] = np.minimum.reduceat(hashed, offsets) >> np.uint64(32)
    return out


def jaccard(a: str, b: str) -> float:
    """Compute shared shingles over all shingles of both texts: 1 for texts that are equal after `normalize_text`."""
    first, second = (
        {text[i : i + SHINGLE] for i in range(max(1, len(text) - SHINGLE + 1))}
        for text in (normalize_text(a), normalize_text(b))
    )
    return len(first & second) / len(first | second)


def _hash_functions() -> list[tuple[np.uint64, np.uint64]]:
    """Return (odd factor, offset) of each hash function, fixed so that signatures are comparable across runs.

    Source: multiply-shift hashing of Dietzfelbinger (1996).
    """
    rng = np.random.default_rng(1997)
    factors = rng.integers(0, 2**63, HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    return list(zip(factors, rng.integers(0, 2**63, HASHES, dtype=np.uint64)))


_FUNCTIONS = _hash_functions()


def _hash_shingles(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Compute a 64-bit hash of each shingle of each text, text after text, and the index where each text begins.

    Texts shorter than a shingle are padded with zeros, so every text has at least one.
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
        inside[ends - i] = False  # would extend into the next text
    offsets = np.concatenate(([0], np.cumsum(lengths - SHINGLE + 1)[:-1]))
    return hashed[inside[: len(hashed)]], offsets


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Apply the finalizer of splitmix64 (Steele et al. 2014): every input bit affects every output bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9) + np.uint64(
        0x9E3779B97F4A7C15
    )
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _pair_block(
    a: Sequence[str], b: Sequence[str], a_hashes: Hashes, b_hashes: Hashes, threshold: float
) -> list[Pair]:
    """Find for each row of b the most similar text of this block of a, if it reaches the threshold."""
    rows_a, rows_b = _find_candidates(a_hashes, b_hashes)
    # The share of equal hashes estimates the Jaccard similarity; computed in slices of 32 MB.
    step = 1 << 16
    shares = [
        (a_hashes[rows_a[i : i + step]] == b_hashes[rows_b[i : i + step]]).mean(axis=1)
        for i in range(0, len(rows_a), step)
    ]
    estimate = np.concatenate([np.zeros(0), *shares])
    promising = estimate >= threshold - SLACK
    rows_a, rows_b, estimate = rows_a[promising], rows_b[promising], estimate[promising]
    order = np.lexsort((rows_a, -estimate, rows_b))  # by row of b, the most promising first
    nearest: dict[int, tuple[int, float]] = {}
    tries: dict[int, int] = {}
    for i, j in zip(rows_a[order].tolist(), rows_b[order].tolist()):
        tries[j] = tries.get(j, 0) + 1
        if nearest.get(j, (0, 0.0))[1] == 1.0 or tries[j] > TRIES:
            continue
        similarity = jaccard(a[i], b[j])
        if similarity >= threshold and similarity > nearest.get(j, (0, 0.0))[1]:
            nearest[j] = (i, similarity)
    return [(i, j, similarity) for j, (i, similarity) in nearest.items()]


def _find_candidates(a: Hashes, b: Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs of rows that agree in all hashes of a band, each once; at most BUCKET per band for a row of b."""
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
    """Combine the hashes of each band into one number per text, (N,) for each band."""
    keys = []
    for band in range(BANDS):
        key = np.zeros(len(hashes), np.uint64)
        for k in range(band * ROWS, (band + 1) * ROWS):
            key = _mix(key ^ hashes[:, k].astype(np.uint64))
        keys.append(key)
    return keys
