"""Micro-batches hold every example once, respect the token budget, and are close to the cheapest split."""

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
def test_padded_split_contains_each_example_once_within_the_budget(lengths: np.ndarray, budget: int) -> None:
    batches = split_padded(np.arange(len(lengths)), lengths, budget)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(len(batch) == 1 or count_padded_tokens(batch, lengths) <= budget for batch in batches)


def test_padded_split_has_the_lowest_cost_of_all_splits() -> None:
    lengths = np.array([3, 4, 5, 30, 31, 60, 61, 62], np.int64)
    budget, n = 130, len(lengths)
    cheapest = min(
        cost(list(np.split(np.arange(n), list(borders))), lengths)
        for size in range(n)
        for borders in itertools.combinations(range(1, n), size)
        if all(
            len(batch) == 1 or count_padded_tokens(batch, lengths) <= budget
            for batch in np.split(np.arange(n), list(borders))
        )
    )
    assert cost(split_padded(np.arange(n), lengths, budget), lengths) == cheapest


def test_padded_split_does_not_depend_on_the_order_of_the_examples() -> None:
    lengths = np.array([5, 5, 9, 2, 9, 7], np.int64)
    first = split_padded(np.array([0, 1, 2, 3, 4, 5]), lengths, 20)
    second = split_padded(np.array([4, 2, 5, 0, 3, 1]), lengths, 20)
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in second]


@settings(max_examples=200, deadline=None)
@given(LENGTHS, st.integers(1, 300))
def test_unpadded_split_contains_each_example_once_in_few_micro_batches(
    lengths: np.ndarray, budget: int
) -> None:
    batches = split_unpadded(np.arange(len(lengths)), lengths, budget)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert len(batches) <= 3 * -(-lengths.sum() // budget)
    assert all(len(batch) == 1 or lengths[batch].sum() <= budget for batch in batches)


def test_unpadded_split_does_not_depend_on_the_order_and_can_isolate_examples() -> None:
    lengths = np.array([5, 5, 9, 2, 9, 7], np.int64)
    assert [batch.tolist() for batch in split_unpadded(np.array([4, 2, 5, 0, 3, 1]), lengths, 20)] == [
        [3, 0, 1, 5],
        [2, 4],
    ]
    assert all(len(batch) == 1 for batch in split_unpadded(np.arange(6), lengths, 1))


@settings(max_examples=100, deadline=None)
@given(LENGTHS, st.integers(1, 300), st.integers(1, 4), st.booleans())
def test_all_examples_are_distributed_and_no_process_is_idle(
    lengths: np.ndarray, budget: int, world_size: int, padding: bool
) -> None:
    assigned = distribute(np.arange(len(lengths)), lengths, budget, world_size, padding=padding)
    assert len(assigned) == world_size
    examples = [index for batches in assigned for batch in batches for index in batch.tolist()]
    assert sorted(examples) == list(range(len(lengths)))
    assert sum(bool(batches) for batches in assigned) == min(world_size, len(lengths))


def test_prediction_batches_contain_all_examples_longest_first() -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 200)
    batches = split_for_prediction(lengths, 256)
    assert sorted(np.concatenate(batches).tolist()) == list(range(200))
    longest = [int(lengths[batch].max()) for batch in batches]
    assert longest == sorted(longest, reverse=True)
    assert all(count_padded_tokens(batch, lengths) <= 256 for batch in batches)


def test_less_than_5_percent_is_padding_where_plain_batches_have_over_35() -> None:
    lengths = np.random.default_rng(1).gamma(4, 6, 3200).astype(np.int64) + 3  # like the sentences of reviews
    real = padded = plain = 0
    for first in range(0, 3200, 32):
        indices = np.arange(first, first + 32)
        real += int(lengths[indices].sum())
        plain += count_padded_tokens(indices, lengths)
        padded += sum(count_padded_tokens(batch, lengths) for batch in split_padded(indices, lengths, 1024))
    assert real / plain < 0.65
    assert real / padded >= 0.95


def test_default_token_budget_of_a_cpu_is_smaller_than_that_of_a_gpu() -> None:
    assert choose_token_budget("cpu") < choose_token_budget("cuda")
