import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from llmkit.metrics.text import lcs
from llmkit.metrics.text.lcs import Lanes, lcs_lengths, lcs_tokens

LINE = st.lists(st.integers(0, 2), max_size=9)
PAIRS = st.lists(st.tuples(st.lists(LINE, min_size=1, max_size=3), LINE), min_size=1, max_size=3)


def lanes_of(pairs):
    """Pairs of a reference, which is a list of lines, and a candidate line."""
    tokens, slots, spans = [], [], ([], [])
    for reference, candidate in pairs:
        for side, lines in enumerate((reference, [candidate])):
            start, slot = len(tokens), 0
            for line in filter(None, lines):
                tokens += line
                slots += range(slot, slot + len(line))
                slot += len(line) + 1
            spans[side].append((start, len(tokens)))
    return Lanes(*(np.array(numbers, np.int64) for numbers in (tokens, slots, *spans)))


def table_lengths(pairs):
    return [sum(rouge_scorer._lcs_table(line, can)[-1][-1] for line in ref if line) for ref, can in pairs]


def read_from_tables(pairs):
    """Flags of all tokens, read from the tables; those of candidates are never set."""
    flags = []
    for reference, candidate in pairs:
        for line in reference:
            taken = rouge_scorer.lcs_ind(line, candidate)
            flags += [place in taken for place in range(len(line))]
        flags += [False] * len(candidate)
    return flags


@settings(max_examples=60)
@given(PAIRS)
def test_lengths_equal_the_dynamic_programming_table(pairs):
    assert lcs_lengths(lanes_of(pairs)).tolist() == table_lengths(pairs)


@settings(max_examples=60)
@given(PAIRS)
def test_tokens_equal_the_backtracking_of_rouge_score(pairs):
    assert lcs_tokens(lanes_of(pairs)).tolist() == read_from_tables(pairs)


def random_pairs(seed, count, longest):
    rng = np.random.default_rng(seed)

    def line():
        return rng.integers(0, rng.choice([2, 5, 30]), rng.integers(0, longest)).tolist()

    return [([line() for _ in range(rng.integers(1, 4))], line()) for _ in range(count)]


@pytest.mark.parametrize("seed, count, longest", [(0, 300, 12), (1, 30, 90), (2, 2, 400)])
def test_lane_sizes_around_64_bits_do_not_change_the_lengths(seed, count, longest):
    pairs = random_pairs(seed, count, longest)
    assert lcs_lengths(lanes_of(pairs)).tolist() == table_lengths(pairs)
    assert lcs_tokens(lanes_of(pairs)).tolist() == read_from_tables(pairs)


@pytest.mark.parametrize("name, value", [("SLOTS", 1), ("SLOTS", 64), ("CELLS", 500), ("KEPT", 1)])
def test_group_and_block_sizes_do_not_change_the_result(monkeypatch, name, value):
    lanes = lanes_of(random_pairs(3, 40, 30))
    whole = lcs_lengths(lanes).tolist(), lcs_tokens(lanes).tolist()
    monkeypatch.setattr(lcs, name, value)
    assert (lcs_lengths(lanes).tolist(), lcs_tokens(lanes).tolist()) == whole


def test_tokens_of_a_shared_reference_are_the_union_over_its_lanes():
    tokens = np.array([1, 2, 3, 3, 1])
    both = np.array([[0, 3], [0, 3]])
    lanes = Lanes(tokens, np.arange(5), both, np.array([[3, 4], [4, 5]]))
    assert lcs_tokens(lanes).tolist() == [True, False, True, False, False]
    assert lcs_lengths(lanes).tolist() == [1, 1]


def test_empty_lanes_have_length_0():
    nothing = Lanes(*[np.zeros(0, np.int64)] * 2, *[np.zeros((0, 2), np.int64)] * 2)
    assert lcs_lengths(nothing).tolist() == [] == lcs_tokens(nothing).tolist()
    assert lcs_lengths(lanes_of([([[]], []), ([[1]], []), ([[]], [1])])).tolist() == [0, 0, 0]


def test_long_lines_take_seconds():
    rng = np.random.default_rng(0)
    pairs = [([rng.integers(0, 2000, 20_000).tolist()], rng.integers(0, 2000, 20_000).tolist())]
    began = time.process_time()
    lanes = lanes_of(pairs)
    assert int(lcs_tokens(lanes).sum()) == lcs_lengths(lanes)[0]
    assert time.process_time() - began < 20  # 1 s; a table of 400 million entries takes minutes
