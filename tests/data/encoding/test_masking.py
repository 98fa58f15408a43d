"""Tests of the masking: the published shares, whole words, and a mask that depends on the draw alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llmkit.data.encoding.collate import IGNORED
from llmkit.data.encoding.masking import NEVER_MASKED, Masking

MASK, VOCABULARY = 4, 1000
MASKING = Masking(rate=0.15, mask_id=MASK, vocab_size=VOCABULARY)


def mask_many(count: int = 2000, length: int = 100) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mask a text of single-token words between two special tokens many times; return ids, masked ids and labels."""
    ids = np.random.default_rng(0).integers(10, VOCABULARY, length)
    words = np.arange(length)
    words[[0, -1]] = NEVER_MASKED
    found = [MASKING.mask(ids, words, draw) for draw in range(count)]
    return np.tile(ids, (count, 1)), np.stack([h for h, _ in found]), np.stack([y for _, y in found])


def test_the_shares_are_those_of_bert() -> None:
    ids, masked_ids, labels = mask_many()
    chosen = labels != IGNORED
    assert (chosen.sum(axis=1) == 15).all()  # of 98
    masked, kept = masked_ids[chosen] == MASK, masked_ids[chosen] == ids[chosen]
    assert abs(masked.mean() - 0.8) < 0.01
    assert abs(kept.mean() - 0.1) < 0.01
    assert abs((~masked & ~kept).mean() - 0.1) < 0.01
    assert (masked_ids[~chosen] == ids[~chosen]).all()
    assert (labels[chosen] == ids[chosen]).all()


def test_each_position_is_chosen_equally_often_but_special_tokens_never() -> None:
    _, _, labels = mask_many()
    shares = (labels != IGNORED).mean(axis=0)
    assert shares[0] == shares[-1] == 0
    assert np.abs(shares[1:-1] - 15 / 98).max() < 0.04  # 5 standard deviations


def test_random_tokens_come_from_the_whole_vocabulary() -> None:
    ids, masked_ids, labels = mask_many()
    random_tokens = masked_ids[(labels != IGNORED) & (masked_ids != MASK) & (masked_ids != ids)]
    assert random_tokens.min() < 20
    assert random_tokens.max() > VOCABULARY - 20


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.integers(0, 2**62))
def test_whole_words_are_chosen_nearest_to_the_rate(sizes: list[int], draw: int) -> None:
    words = np.repeat(np.arange(1, len(sizes) + 1), sizes)
    _, labels = MASKING.mask(words + 10, words, draw)
    chosen = labels != IGNORED
    assert all(len(set(chosen[words == word])) == 1 for word in set(words))
    assert chosen.any()
    assert len(set(words[chosen])) == 1 or abs(chosen.sum() - 0.15 * len(words)) <= max(sizes)


def test_equal_draws_give_equal_masks() -> None:
    ids, words = np.arange(10, 60), np.arange(1, 51)
    first, again, other = (MASKING.mask(ids, words, draw)[1] for draw in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_in_a_text_of_special_tokens_nothing_is_masked() -> None:
    masked_ids, labels = MASKING.mask(np.array([1, 2]), np.array([NEVER_MASKED, NEVER_MASKED]), 7)
    assert masked_ids.tolist() == [1, 2]
    assert labels.tolist() == [IGNORED, IGNORED]
