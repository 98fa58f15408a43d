"""Cutting by length: complete, within budget, near the optimum, and the same for every process."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.engine.batching import (
    OVERHEAD,
    choose_token_budget,
    count_padded_tokens,
    distribute,
    split_for_prediction,
    split_padded,
    split_unpadded,
)

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=40).map(lambda values: np.array(values, np.int64))


def cost(batches: list[np.ndarray], lengths: np.ndarray) -> int:
    return sum(count_padded_tokens(batch, lengths) + OVERHEAD for batch in batches)


@settings(max_examples=200, deadline=None)
@given(LENGTHS, st.integers(1, 300))
def test_cut_takes_each_example_once_within_the_budget(lengths: np.ndarray, budget: int) -> None:
    batches = split_padded(np.arange(len(lengths)), lengths, budget)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(len(batch) == 1 or count_padded_tokens(batch, lengths) <= budget for batch in batches)


def test_cut_finds_the_cheapest_row_of_batches() -> None:
    lengths = np.array([3, 4, 5, 30, 31, 60, 61, 62], np.int64)
    budget, n = 130, len(lengths)
    cheapest = min(
        cost(list(np.split(np.arange(n), list(borders))), lengths)
        for size in range(n)
        for borders in itertools.combinations(range(1, n), size)
        if all(
            len(part) == 1 or count_padded_tokens(part, lengths) <= budget
            for part in np.split(np.arange(n), list(borders))
        )
    )
    assert cost(split_padded(np.arange(n), lengths, budget), lengths) == cheapest


def test_cut_does_not_depend_on_the_order_of_the_examples() -> None:
    lengths = np.array([5, 5, 9, 2, 9, 7], np.int64)
    first = split_padded(np.array([0, 1, 2, 3, 4, 5]), lengths, 20)
    second = split_padded(np.array([4, 2, 5, 0, 3, 1]), lengths, 20)
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in second]


@settings(max_examples=200, deadline=None)
@given(LENGTHS, st.integers(1, 300))
def test_fill_takes_each_example_once_in_few_micro_batches_of_one_size(
    lengths: np.ndarray, budget: int
) -> None:
    batches = split_unpadded(np.arange(len(lengths)), lengths, budget)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert len(batches) <= 3 * -(-lengths.sum() // budget)
    assert all(len(batch) == 1 or lengths[batch].sum() <= budget for batch in batches)


def test_fill_does_not_depend_on_the_order_and_ends_at_single_examples() -> None:
    lengths = np.array([5, 5, 9, 2, 9, 7], np.int64)
    assert [batch.tolist() for batch in split_unpadded(np.array([4, 2, 5, 0, 3, 1]), lengths, 20)] == [
        [3, 0, 1, 5],
        [2, 4],
    ]
    assert all(len(batch) == 1 for batch in split_unpadded(np.arange(6), lengths, 1))


@settings(max_examples=100, deadline=None)
@given(LENGTHS, st.integers(1, 300), st.integers(1, 4), st.booleans())
def test_deal_shares_all_examples_out_and_leaves_no_process_idle(
    lengths: np.ndarray, budget: int, world_size: int, padding: bool
) -> None:
    shares = distribute(np.arange(len(lengths)), lengths, budget, world_size, padding=padding)
    assert len(shares) == world_size
    dealt = [index for share in shares for batch in share for index in batch.tolist()]
    assert sorted(dealt) == list(range(len(lengths)))
    assert sum(bool(share) for share in shares) == min(world_size, len(lengths))


def test_sorted_batches_hold_all_examples_longest_first() -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 200)
    batches = split_for_prediction(lengths, 256)
    assert sorted(np.concatenate(batches).tolist()) == list(range(200))
    longest = [int(lengths[batch].max()) for batch in batches]
    assert longest == sorted(longest, reverse=True)
    assert all(count_padded_tokens(batch, lengths) <= 256 for batch in batches)


def test_little_is_padding_where_a_plain_batch_pads_half() -> None:
    lengths = np.random.default_rng(1).gamma(4, 6, 3200).astype(np.int64) + 3  # like sentences of a review
    real = padded = plain = 0
    for first in range(0, 3200, 32):
        indices = np.arange(first, first + 32)
        real += int(lengths[indices].sum())
        plain += count_padded_tokens(indices, lengths)
        padded += sum(count_padded_tokens(batch, lengths) for batch in split_padded(indices, lengths, 1024))
    assert real / plain < 0.65
    assert real / padded >= 0.95


def test_auto_budget_is_small_where_a_cache_has_to_hold_it() -> None:
    assert choose_token_budget("cpu") < choose_token_budget("cuda")
