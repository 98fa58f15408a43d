"""Tests of the check of number columns."""

import numpy as np
import pytest

from llmkit.data.checks.numbers import check_numbers


def lines(errors):
    return [str(error) for error in errors]


def scores(corpus_of, *values, split="train"):
    return corpus_of(["score"], **{split: [{"text": "a", "score": value} for value in values]})


def test_numbers_are_parsed_from_any_spelling(corpus_of):
    numbers, errors = check_numbers(scores(corpus_of, "3.5", " 4 ", "-1e2", "0"), "score")
    assert errors == []
    assert numbers["train"].dtype == np.float32
    assert numbers["train"].tolist() == [3.5, 4.0, -100.0, 0.0]
    assert check_numbers(scores(corpus_of, 1, 2.5), "score")[0]["train"].tolist() == [1.0, 2.5]


def test_missing_numbers_are_l04(corpus_of):
    assert lines(check_numbers(scores(corpus_of, 1, None, 3, None), "score")[1]) == [
        'error[L04] train.jsonl:2: 2 rows without "score" (null, NaN or empty), also at train.jsonl:4.'
        " Fix: write the number, or remove the row"
    ]


@pytest.mark.parametrize(
    "value", ["four", "3,5", "nan", "inf", "1e39", "1_000", "4/5"], ids=lambda value: str(value)
)
def test_strings_that_are_not_numbers_are_l10(corpus_of, value):
    assert lines(check_numbers(scores(corpus_of, "1", "2", value), "score")[1]) == [
        f'error[L10] train.jsonl:3: "score" is "{value}", not a number. Fix: write a number'
    ]


@pytest.mark.parametrize("value", [True, [1.0], {"value": 1}])
def test_values_of_other_types_are_l10(corpus_of, value):
    (error,) = check_numbers(scores(corpus_of, value, split="test"), "score")[1]
    assert (error.code, error.place) == ("L10", "test.jsonl:1")


def test_nan_and_infinity_in_parquet_are_errors(in_folder, read):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"score": [1.0, float("nan"), float("inf")]}), "a.parquet")
    errors = check_numbers(read(train="a.parquet", columns={"score": "score"}), "score")[1]
    assert [(error.code, error.place) for error in errors] == [
        ("L04", "a.parquet:2"),
        ("L10", "a.parquet:3"),
    ]


def test_equal_training_numbers_are_l08(corpus_of):
    assert lines(check_numbers(scores(corpus_of, 2.5, 2.5), "score")[1]) == [
        'error[L08] train.jsonl:1: all 2 rows of the training set have "score" 2.5.'
        " Fix: add rows with other numbers"
    ]
    assert check_numbers(scores(corpus_of, 2.5, 2.5, split="test"), "score")[1] == []
