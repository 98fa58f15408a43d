from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from llmkit.metrics import independent, paired
from llmkit.metrics.intervals import measure, wilson_score
from llmkit.metrics.score import Metric, ratio
from llmkit.metrics.slices import compare_slices, group_by_quartile, group_by_value

MEAN = Metric("mean", lambda sums: ratio(sums[..., 0], sums[..., 1]))


def share_of(hits):
    return lambda index: wilson_score(int(hits[index].sum()), len(index))


def test_each_slice_is_compared_with_all_other_examples():
    hits = np.array([1] * 30 + [0] * 10 + [1] * 10 + [0] * 30)
    result = compare_slices(share_of(hits), {"half": group_by_value(["b"] * 40 + ["a"] * 40)}, 80)
    assert [(one.value, one.score.value, one.rest.value) for one in result.slices] == [
        ("a", 0.25, 0.75),
        ("b", 0.75, 0.25),
    ]
    assert result.slices[0].difference == independent.difference(wilson_score(10, 40), wilson_score(30, 40))
    assert result.left_out == 0


def test_worst_slice_comes_first_for_scores_and_losses():
    values = np.repeat([3.0, 1.0, 2.0], 20) + np.random.default_rng(0).normal(size=60) / 10
    rows, groupings = (
        np.column_stack([values, np.ones(60)]),
        {"g": group_by_value(np.repeat(list("xyz"), 20).tolist())},
    )

    def order(**how):
        result = compare_slices(lambda index: measure(rows[index], [MEAN])["mean"], groupings, 60, **how)
        return [one.value for one in result.slices]

    assert order() == ["y", "z", "x"]
    assert order(higher_is_better=False) == ["x", "z", "y"]


def test_p_values_are_adjusted_for_all_groupings_together():
    rng = np.random.default_rng(1)
    hits = rng.integers(0, 2, 300)
    groupings = {name: group_by_value(rng.integers(0, 4, 300).tolist()) for name in ("one", "two")}
    result = compare_slices(share_of(hits), groupings, 300).slices
    assert len(result) == 8
    assert [one.p_holm for one in result] == pytest.approx(paired.holm([one.p_value for one in result]))


def test_chance_alone_rarely_makes_a_slice_significant():
    rng, shown = np.random.default_rng(2), 0
    for _ in range(200):
        hits, values = rng.random(400) < 0.8, rng.integers(0, 10, 400)
        result = compare_slices(share_of(hits), {"g": group_by_value(values.tolist())}, 400)
        shown += any(one.p_holm < 0.05 for one in result.slices)
    assert shown <= 20  # at most 10 are expected


def test_slices_with_few_examples_inside_or_outside_are_counted_but_not_compared():
    values = ["many"] * 50 + ["nine"] * 9
    result = compare_slices(share_of(np.ones(59)), {"g": group_by_value(values)}, 59)
    assert (result.slices, result.left_out) == ((), 2)
    result = compare_slices(share_of(np.ones(60)), {"g": group_by_value([*values, "nine"])}, 60)
    assert (len(result.slices), result.left_out) == (2, 0)


def test_only_the_most_frequent_values_are_compared():
    values = [name for number in range(30) for name in [f"v{number}"] * (10 + number)]
    result = compare_slices(share_of(np.ones(len(values))), {"g": group_by_value(values)}, len(values))
    assert {one.value for one in result.slices} == {f"v{number}" for number in range(10, 30)}
    assert result.left_out == 10


def test_slices_may_overlap_and_may_have_no_score():
    index = np.arange(100)
    groupings = {"g": {"early": index[:60], "late": index[40:], "none": index[::3]}}

    def score(numbers):
        return None if len(numbers) == 34 else wilson_score(5, len(numbers))

    result = compare_slices(score, groupings, 100)
    assert [(one.value, one.score.n, one.rest.n) for one in result.slices] == [
        ("early", 60, 40),
        ("late", 60, 40),
    ]
    assert result.left_out == 1


def test_each_grouping_can_have_its_own_score():
    halves = group_by_value(["a"] * 20 + ["b"] * 20)
    own = {"one": lambda index: wilson_score(0, len(index)), "two": lambda index: wilson_score(9, len(index))}
    result = compare_slices(own, {"one": halves, "two": halves}, 40)
    assert {(one.grouping, one.score.value) for one in result.slices} == {("one", 0.0), ("two", 9 / 20)}


# Groupings


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.integers(-50, 50), st.floats(0, 9)), min_size=1, max_size=80))
def test_quartiles_contain_every_example_once_in_order(sizes):
    result = group_by_quartile(sizes)
    assert sorted(np.concatenate(list(result.values())).tolist()) == list(range(len(sizes)))
    ends = [(min(sizes[i] for i in index), max(sizes[i] for i in index)) for index in result.values()]
    assert all(high < low for (_, high), (low, _) in pairwise(ends))
    assert len(result) <= 4


def test_quartiles_are_named_by_their_range():
    assert {name: len(index) for name, index in group_by_quartile(range(1, 41)).items()} == {
        "1 to 10": 10,
        "11 to 20": 10,
        "21 to 30": 10,
        "31 to 40": 10,
    }
    assert {name: index.tolist() for name, index in group_by_quartile([7, 7, float("nan")]).items()} == {
        "7": [0, 1],
        "(none)": [2],
    }
    assert group_by_quartile([]) == {}


def test_value_groups_are_named_by_their_value():
    result = group_by_value(["a", None, "a", True, 3])
    assert {name: index.tolist() for name, index in result.items()} == {
        "a": [0, 2],
        "(none)": [1],
        "True": [3],
        "3": [4],
    }


def test_many_different_numbers_are_grouped_by_quartile_few_by_value():
    assert set(group_by_value([1, 2, 1])) == {"1", "2"}
    assert list(group_by_value([*range(40), None])) == [
        "0 to 9",
        "10 to 19",
        "20 to 29",
        "30 to 39",
        "(none)",
    ]


# The p-value of two independent samples


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize("first, second", [((45, 60), (30, 60)), ((12, 40), (20, 50)), ((5, 90), (9, 80))])
def test_p_value_agrees_with_the_interval_and_with_a_two_proportion_test(first, second, confidence):
    result = independent.difference(wilson_score(*first, confidence), wilson_score(*second, confidence))
    p_value = independent.p_value(result, confidence)
    assert (p_value < 1 - confidence) == result.excludes_zero
    table = [[hits, n - hits] for hits, n in (first, second)]
    assert p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, abs=0.02)


def test_p_value_is_none_without_an_interval():
    result = independent.difference(wilson_score(0, 0), wilson_score(3, 4))
    assert independent.p_value(result, 0.95) is None
    same = independent.difference(wilson_score(2, 4), wilson_score(2, 4))
    assert independent.p_value(same, 0.95) == 1.0
