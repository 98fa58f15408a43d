"""Tests of the search for duplicates, contradictions and near-duplicates."""

import json
from pathlib import Path

import pytest

from llmkit.data.checks.duplicates import check_duplicates, find_near_duplicates
from llmkit.recipe.schema import Data


def check(corpus, text="text", label="label", **keys):
    left, errors, notes = check_duplicates(corpus, text, label, Data(**keys))
    return left, [str(error) for error in errors], notes


def places(corpus, split):
    return [corpus.splits[split].place(i) for i in range(len(corpus.splits[split]))]


@pytest.fixture
def leaky(make):
    return make(
        train=[("one", 0), ("Two  times", 1), ("three", 0), ("TWO times", 1)],
        validation=[("four", 0), ("Ｔｈｒｅｅ", 1)],
        test=[("two times", 1), ("four", 0), ("five", 1)],
    )


def test_distinct_texts_have_no_errors(make):
    corpus = make(train=[("one", 0), ("two", 1)], test=[("three", 0)])
    assert check(corpus) == (corpus, [], [])


def test_a_text_in_two_splits_is_reported_with_both_places(leaky):
    fix = "Fix: remove one of them, or set data.duplicates=drop"
    assert check(leaky) == (
        leaky,
        [
            "error[L13] validation.jsonl:2: the same text occurs in train and validation"
            f" (train.jsonl:3 = validation.jsonl:2). {fix}",
            "error[L13] test.jsonl:1: the same text occurs in train and test"
            f" (train.jsonl:2 = test.jsonl:1). {fix}",
            "error[L13] test.jsonl:2: the same text occurs in validation and test"
            f" (validation.jsonl:1 = test.jsonl:2). {fix}",
        ],
        ["train: 1 row with a text that occurs earlier in the same split"],
    )


def test_drop_removes_the_rows_of_the_earlier_split(leaky):
    left, errors, notes = check(leaky, duplicates="drop")
    assert errors == []
    assert places(left, "train") == ["train.jsonl:1"]
    assert places(left, "validation") == ["validation.jsonl:2"]
    assert places(left, "test") == places(leaky, "test")
    assert notes == [
        "train: 3 rows dropped (text also in a later split)",
        "validation: 1 row dropped (text also in a later split)",
    ]
    assert check(left) == (left, [], [])


def test_allowed_leaks_are_counted_in_the_notes(leaky):
    assert check(leaky, duplicates="allow") == (
        leaky,
        [],
        [
            "3 texts occur in two splits (data.duplicates=allow)",
            "train: 1 row with a text that occurs earlier in the same split",
        ],
    )


def test_a_training_text_with_two_labels_is_an_error(make):
    corpus = make(
        train=[("one", "a"), ("two", "a"), ("One", "a"), ("ONE", "b")], test=[("x", "a"), ("x", "b")]
    )
    assert check(corpus) == (
        corpus,
        [
            'error[L13] train.jsonl:4: label "b", but the same text in train.jsonl:1 has "a".'
            " Fix: keep the right one, or set data.duplicates=drop"
        ],
        [
            "train: 2 rows with a text that occurs earlier in the same split",
            "test: 1 row with a text that occurs earlier in the same split",
        ],
    )


def test_drop_removes_all_rows_of_a_contradictory_text(make):
    corpus = make(train=[("one", "a"), ("two", "a"), ("two", "a"), ("ONE", "b"), ("three", "b")])
    left, errors, notes = check(corpus, duplicates="drop")
    assert errors == []
    assert places(left, "train") == ["train.jsonl:2", "train.jsonl:3", "train.jsonl:5"]
    assert notes == [
        "train: 2 rows dropped (text with two labels)",
        "train: 1 row with a text that occurs earlier in the same split",
    ]


def test_without_a_label_column_there_are_no_contradictions(make):
    assert check(make(train=[("one", "a"), ("one", "b")]), label=None)[1] == []


def test_drop_that_would_empty_a_split_is_an_error(make):
    corpus = make(train=[("one", "a"), ("two", "b")], test=[("two", "b"), ("one", "a")])
    assert check(corpus, duplicates="drop")[1] == [
        "error[L13] train.jsonl:1: no row of train is left without the 2 leaked and contradictory texts."
        " Fix: provide other rows, or set data.duplicates=allow"
    ]


def test_pairs_are_compared_as_pairs(in_folder, read):
    rows = [("a", "b", "x"), ("a", "c", "y"), ("ab", "", "z"), ("A", "B", "y")]
    Path("train.jsonl").write_text(
        "".join(json.dumps({"text": a, "pair": b, "label": y}) + "\n" for a, b, y in rows)
    )
    errors = check(read(train="train.jsonl"), text=("text", "pair"))[1]
    assert [error[:25] for error in errors] == ["error[L13] train.jsonl:4:"]


LONG = "The film tells a long story of love and war in a small town that nobody will ever forget"


def test_near_duplicates_across_splits_are_counted_and_noted(make):
    corpus = make(
        train=[("something else entirely, and long enough", 0), (LONG, 0)],
        validation=[(LONG + ".", 0)],
        test=[("a third thing, not like the others at all", 1), (LONG + "!!", 0), (LONG.upper() + "?", 0)],
    )
    rows, notes = find_near_duplicates(corpus, "text")
    assert {split: of_split.tolist() for split, of_split in rows.items()} == {
        "validation": [0],
        "test": [1, 2],
    }
    assert notes[0] == (
        "validation: 1 of 1 row nearly repeat a row of train: train.jsonl:2 ~ validation.jsonl:1 (0.99)"
    )
    assert notes[1].startswith(
        "test: 2 of 3 rows nearly repeat a row of train: train.jsonl:2 ~ test.jsonl:2 (0.98)"
    )
    assert notes[2].startswith(
        "test: 2 of 3 rows nearly repeat a row of validation: validation.jsonl:1 ~ test.jsonl:2"
    )


def test_texts_with_equal_halves_are_not_near_duplicates(make):
    corpus = make(train=[(LONG, 0)], test=[(LONG[:45] + " but ends in another way altogether, I fear", 0)])
    assert find_near_duplicates(corpus, "text") == ({}, [])
