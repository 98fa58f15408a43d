from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.metrics.text.matches import Bag, count_matches, expand_spans, make_bigrams

PAIRS = st.lists(st.tuples(*[st.lists(st.integers(0, 3), max_size=8)] * 2), min_size=1, max_size=5)


def bag(texts):
    owners = [number for number, text in enumerate(texts) for _ in text]
    return Bag(np.array(owners, np.int64), np.array([item for text in texts for item in text], np.int64))


@settings(max_examples=40)
@given(PAIRS)
def test_matches_equal_the_intersection_of_counters(pairs):
    first, second = (bag(texts) for texts in zip(*pairs))
    expected = [(Counter(a) & Counter(b)).total() for a, b in pairs]
    assert count_matches(first, second, len(pairs)).tolist() == expected
    assert count_matches(second, first, len(pairs)).tolist() == expected


@settings(max_examples=40)
@given(PAIRS)
def test_bigrams_do_not_span_two_pairs(pairs):
    first, second = (make_bigrams(bag(texts), 4) for texts in zip(*pairs))
    expected = [(Counter(pairwise(a)) & Counter(pairwise(b))).total() for a, b in pairs]
    assert count_matches(first, second, len(pairs)).tolist() == expected


def test_bigrams_with_equal_sums_stay_different():
    assert len(set(make_bigrams(bag([[0, 3, 1, 0, 2, 3, 3]]), 4).items.tolist())) == 6


def test_pairs_without_items_have_no_matches():
    assert count_matches(bag([[], []]), bag([[1], []]), 3).tolist() == [0, 0, 0]


def test_spans_are_expanded_in_order():
    owners, places = expand_spans(np.array([[5, 8], [2, 2], [0, 2], [6, 7]]))
    assert owners.tolist() == [0, 0, 0, 2, 2, 3]
    assert places.tolist() == [5, 6, 7, 0, 1, 6]
    assert [part.tolist() for part in expand_spans(np.zeros((0, 2), np.int64))] == [[], []]
