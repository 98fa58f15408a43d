"""Tests of the check of number columns."""

import numpy as np
import pytest

from llmkit.data.checks.numbers import check_numbers


def lines(problems):
    return [str(problem) for problem in problems]


def scored(corpus_of, *values, part="train"):
    return corpus_of(["score"], **{part: [{"text": "a", "score": value} for value in values]})


def test_numbers_are_read_from_any_spelling(corpus_of):
    found, problems = check_numbers(scored(corpus_of, "3.5", " 4 ", "-1e2", "0"), "score")
    assert problems == []
    assert found["train"].dtype == np.float32
    assert found["train"].tolist() == [3.5, 4.0, -100.0, 0.0]
    assert check_numbers(scored(corpus_of, 1, 2.5), "score")[0]["train"].tolist() == [1.0, 2.5]


def test_missing_numbers_are_l04(corpus_of):
    assert lines(check_numbers(scored(corpus_of, 1, None, 3, None), "score")[1]) == [
        'error[L04] train.jsonl:2: 2 rows without "score" (null, NaN or empty), also at train.jsonl:4.'
        " Fix: write the number, or remove the row"
    ]


@pytest.mark.parametrize(
    "value", ["four", "3,5", "nan", "inf", "1e39", "1_000", "4/5"], ids=lambda value: str(value)
)
def test_what_spells_no_number_is_l10(corpus_of, value):
    assert lines(check_numbers(scored(corpus_of, "1", "2", value), "score")[1]) == [
        f'error[L10] train.jsonl:3: "score" is "{value}", not a number. Fix: write a number'
    ]


@pytest.mark.parametrize("value", [True, [1.0], {"value": 1}])
def test_other_values_are_no_numbers(corpus_of, value):
    (problem,) = check_numbers(scored(corpus_of, value, part="test"), "score")[1]
    assert (problem.code, problem.place) == ("L10", "test.jsonl:1")


def test_numbers_of_parquet_are_checked_too(in_folder, read):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"score": [1.0, float("nan"), float("inf")]}), "a.parquet")
    problems = check_numbers(read(train="a.parquet", columns={"score": "score"}), "score")[1]
    assert [(problem.code, problem.place) for problem in problems] == [
        ("L04", "a.parquet:2"),
        ("L10", "a.parquet:3"),
    ]


def test_equal_training_numbers_are_l08(corpus_of):
    assert lines(check_numbers(scored(corpus_of, 2.5, 2.5), "score")[1]) == [
        'error[L08] train.jsonl:1: all 2 rows of the training set have "score" 2.5.'
        " Fix: add rows with other numbers"
    ]
    assert check_numbers(scored(corpus_of, 2.5, 2.5, part="test"), "score")[1] == []
