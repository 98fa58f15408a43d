"""Tests of the checks of class labels and of lists of labels."""

import numpy as np
import pytest

from llmkit.data.checks.label_checks import (
    build_label_indicators,
    check_class_labels,
    check_label_lists,
    drop_unknown_labels,
)
from llmkit.data.checks.labels import encode_labels
from llmkit.recipe.schema import Data

GOOD = [("a fine film", "pos"), ("a dull film", "neg")]


def lines(errors):
    return [str(error) for error in errors]


def checked(corpus, model_labels=None, **keys):
    names, errors = check_class_labels(corpus, "label", Data(**keys), model_labels)
    return names, lines(errors)


# names


def test_names_are_the_sorted_training_labels(make):
    assert checked(make(train=GOOD, test=GOOD)) == (("neg", "pos"), [])


@pytest.mark.parametrize("labels", [[10, 9, 0], ["10", "9", "0"]])
def test_integer_labels_are_sorted_by_number(make, labels):
    assert checked(make(train=[(str(x), x) for x in labels])) == (("0", "9", "10"), [])


def test_integers_and_strings_of_integers_are_the_same_labels(make):
    corpus = make(train=[("a", 0), ("b", 1)], test=[("c", "1")])
    names, errors = checked(corpus)
    assert (names, errors) == (("0", "1"), [])
    assert encode_labels(corpus.splits["test"], "label", names).tolist() == [1]


def test_booleans_are_classes(make):
    assert checked(make(train=[("a", True), ("b", False)])) == (("false", "true"), [])


def test_integers_stand_for_listed_names(make):
    corpus = make(train=[("a", 1), ("b", 0)], test=[("c", 1)])
    names, errors = checked(corpus, labels=["negative", "positive"])
    assert (names, errors) == (("negative", "positive"), [])


def test_listed_names_keep_their_order(make):
    assert checked(make(train=GOOD), labels=["pos", "neg", "mixed"]) == (("pos", "neg", "mixed"), [])


def test_the_labels_of_a_model_take_precedence(make):
    assert checked(make(test=GOOD), model_labels=["pos", "neg"], labels=["x", "y"]) == (("pos", "neg"), [])


def test_a_name_listed_twice_is_l07(make):
    assert checked(make(train=GOOD), labels=["pos", "neg", "pos"])[1] == [
        'error[L07] data.labels: lists "pos" twice. Fix: remove one'
    ]


# errors


def test_rows_without_a_label_are_l04(make):
    corpus = make(train=[*GOOD, ("x", None), ("y", ""), ("z", " ")], test=[("u", None)])
    assert checked(corpus)[1] == [
        "error[L04] train.jsonl:3: 3 rows without a label (null, NaN or empty), also at train.jsonl:4, train.jsonl:5."
        " Fix: write the label, or remove the row",
        "error[L04] test.jsonl:1: 1 row without a label (null, NaN or empty). Fix: write the label, or remove the row",
    ]


def test_a_nan_from_parquet_is_l04(in_folder, read):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"text": ["a"], "label": [float("nan")]}), "a.parquet")
    assert checked(read(train="a.parquet"))[1][0].startswith("error[L04] a.parquet:1: 1 row without a label")


def test_an_unseen_label_is_l05_with_the_closest(make):
    train = [(name, name) for name in ["refund", "order", "invoice", "account", "delivery"]]
    corpus = make(train=train, validation=[("x", "refund"), ("y", "refnd"), ("z", "Order"), ("w", "refnd")])
    assert checked(corpus)[1] == [
        'error[L05] validation.jsonl:2: label "refnd" is not one of the 5 training labels (closest: "refund"),'
        " also at validation.jsonl:4. Fix: correct it, or set data.unknown_labels=drop",
        'error[L05] validation.jsonl:3: label "Order" is not one of the 5 training labels (closest: "order").'
        " Fix: correct it, or set data.unknown_labels=drop",
    ]


def test_an_unlisted_training_label_is_l05_and_never_dropped(make):
    errors = checked(make(train=[*GOOD, ("x", "mixed")]), labels=["neg", "pos"], unknown_labels="drop")[1]
    assert errors == [
        'error[L05] train.jsonl:3: label "mixed" is not one of the 2 labels in data.labels (they are: neg, pos).'
        " Fix: correct it"
    ]


@pytest.mark.parametrize(
    ("label", "keys"), [(2, {"labels": ["neg", "pos"]}), (-1, {"labels": ["neg", "pos"]}), (2, {})]
)
def test_a_number_out_of_range_is_l06(make, label, keys):
    corpus = make(train=[("a", 0), ("b", 1)], test=[("c", label)])
    assert checked(corpus, **keys)[1] == [
        f"error[L06] test.jsonl:1: label {label} is outside 0 to 1. Fix: correct it, or set data.unknown_labels=drop"
    ]


def test_integers_that_do_not_start_at_0_are_names(make):
    corpus = make(train=[("a", 1), ("b", 5)], test=[("c", 3)])
    assert checked(corpus)[1][0].startswith(
        'error[L05] test.jsonl:1: label "3" is not one of the 2 training labels (they are: 1, 5).'
    )


@pytest.mark.parametrize("unknown", ["error", "drop"])
def test_integers_never_stand_for_names_of_the_training_rows(make, unknown):
    corpus = make(train=GOOD, test=[("x", 0), ("y", 1)])
    assert [p[:28] for p in checked(corpus, unknown_labels=unknown)[1]] == [
        "error[L05] test.jsonl:1: lab",
        "error[L05] test.jsonl:2: lab",
    ]


def test_labels_that_differ_by_case_or_space_are_l07(make):
    corpus = make(train=[("a", "Refund"), ("b", "refund"), ("c", "refund"), ("d", "order"), ("e", "refund ")])
    assert checked(corpus)[1] == [
        'error[L07] train.jsonl:5: labels that differ only by case or space: "refund " (1 row, train.jsonl:5),'
        ' "Refund" (1 row, train.jsonl:1), "refund" (2 rows, train.jsonl:2).'
        " Fix: write them the same way, or list each of them in data.labels"
    ]


def test_labels_that_differ_by_case_are_allowed_if_listed(make):
    assert checked(make(train=[("a", "A"), ("b", "a")]), labels=["A", "a"])[1] == []


def test_a_single_class_is_l08(make):
    assert checked(make(train=[("a", "x"), ("b", "x")]))[1] == [
        'error[L08] train.jsonl:1: all 2 rows of the training set have the label "x". Fix: add rows of another class'
    ]


def test_a_single_class_in_the_test_split_is_allowed(make):
    assert checked(make(train=GOOD, test=[("a", "pos")]))[1] == []


@pytest.mark.parametrize("labels", [[0.5, 1.0], [1.0, 0.0], [1, 0.5]])
def test_floats_are_l10(make, labels):
    errors = checked(make(train=[("a", labels[0]), ("b", labels[1])]))[1]
    assert errors == [
        f"error[L10] train.jsonl:1: label {float(labels[0])} is a float, not a class, also at train.jsonl:2."
        " Fix: write integers or strings"
    ]


def test_lists_are_not_class_labels(make):
    assert checked(make(train=[*GOOD[:0], ("a", ["x"]), ("b", ["y"])]))[1][0].startswith(
        "error[L10] train.jsonl:1: label ['x'] is a list, not a class, also at train.jsonl:2."
    )


# dropping


def test_unknown_labels_of_validation_and_test_can_be_dropped(make):
    corpus = make(train=GOOD, test=[("x", "mixed"), ("y", "pos"), ("z", "other")])
    data = Data(unknown_labels="drop")
    names, errors = check_class_labels(corpus, "label", data)
    assert errors == []
    left, notes = drop_unknown_labels(corpus, "label", names, data)
    assert notes == ["test: 2 rows dropped (label not among the 2 known)"]
    assert [left.splits["test"].place(i) for i in range(len(left.splits["test"]))] == ["test.jsonl:2"]
    assert encode_labels(left.splits["test"], "label", names).tolist() == [1]


def test_a_split_of_unknown_labels_is_an_error_even_with_drop(make):
    assert len(checked(make(train=GOOD, test=[("x", "mixed")]), unknown_labels="drop")[1]) == 1


def test_by_default_nothing_is_dropped(make):
    corpus = make(train=GOOD, test=[("x", "mixed"), ("y", "pos")])
    assert drop_unknown_labels(corpus, "label", ("neg", "pos"), Data()) == (corpus, [])


# lists of labels


def check_lists(corpus_of, data=None, model_labels=None, **splits):
    """Return the names and the error lines for lists of labels."""
    corpus = corpus_of(
        ["labels"], **{p: [{"text": "a", "labels": x} for x in rows] for p, rows in splits.items()}
    )
    names, errors = check_label_lists(corpus, "labels", data or Data(), model_labels)
    return names, lines(errors)


def test_names_come_from_all_training_lists(corpus_of):
    assert check_lists(corpus_of, train=[["b", "a"], [], ["c", "a", "a"]], test=[["c"]]) == (
        ("a", "b", "c"),
        [],
    )
    assert check_lists(corpus_of, train=[["10"], ["9", "0"]])[0] == ("0", "9", "10")


def test_listed_names_and_labels_of_a_model_keep_their_order(corpus_of):
    data = Data(labels=["c", "a", "b"])
    assert check_lists(corpus_of, data, train=[["a"], ["b"]]) == (("c", "a", "b"), [])
    assert check_lists(corpus_of, data, ["b", "a"], test=[["a"], ["b"]]) == (("b", "a"), [])


@pytest.mark.parametrize(
    "value, shown",
    [("a, b", "a, b"), ([1, 2], "[1, 2]"), ([" "], "[' ']"), (None, "None"), ({"a": 1}, "{'a': 1}")],
)
def test_values_that_are_not_lists_of_strings_are_l10(corpus_of, value, shown):
    assert check_lists(corpus_of, train=[["a"]], test=[value]) == (
        (),
        [
            f'error[L10] test.jsonl:1: "labels" is {shown}, not a list of labels.'
            ' Fix: write a list of strings, such as ["a", "b"] or []'
        ],
    )


def test_an_unseen_label_of_a_list_is_l05_with_the_closest(corpus_of):
    _, errors = check_lists(
        corpus_of, train=[["refund", "order"], ["order"]], test=[["order", "refnd"], [], ["refnd"]]
    )
    assert errors == [
        'error[L05] test.jsonl:1: label "refnd" is not one of the 2 training labels (closest: "refund"),'
        " also at test.jsonl:3. Fix: correct it, or set data.unknown_labels=drop"
    ]


def test_an_unlisted_training_label_in_a_list_is_never_dropped(corpus_of):
    _, errors = check_lists(corpus_of, Data(labels=["a"], unknown_labels="drop"), train=[["a"], ["b"]])
    assert errors == [
        'error[L05] train.jsonl:2: label "b" is not one of the 1 labels in data.labels (they are: a).'
        " Fix: correct it"
    ]


def test_spellings_of_one_label_are_l07(corpus_of):
    _, errors = check_lists(corpus_of, train=[["Refund"], ["refund", "order"], ["refund"]])
    assert errors[0].startswith(
        'error[L07] train.jsonl:1: labels that differ only by case or space: "Refund" (1 row, train.jsonl:1)'
    )
    assert (
        check_lists(corpus_of, Data(labels=["Refund", "refund", "order"]), train=[["Refund"], ["refund"]])[1]
        == []
    )
    assert check_lists(corpus_of, Data(labels=["a", "b", "a"]), train=[["a"], ["b"]])[1] == [
        'error[L07] data.labels: lists "a" twice. Fix: remove one'
    ]


def test_rows_without_any_label_are_l08(corpus_of):
    assert check_lists(corpus_of, train=[[], []])[1] == [
        "error[L08] train.jsonl:1: no row has a label. Fix: add rows with labels"
    ]


def test_rows_with_an_unknown_label_can_be_dropped(corpus_of):
    corpus = corpus_of(
        ["labels"], train=[{"labels": ["a", "b"]}], test=[{"labels": x} for x in (["a"], ["a", "0"], [])]
    )
    data = Data(unknown_labels="drop")
    names, errors = check_label_lists(corpus, "labels", data)
    assert errors == []
    left, notes = drop_unknown_labels(corpus, "labels", names, data)
    assert notes == ["test: 1 row dropped (label not among the 2 known)"]
    assert build_label_indicators(left.splits["test"], "labels", names).tolist() == [[1, 0], [0, 0]]


def test_indicators_are_1_where_a_row_has_the_label(corpus_of):
    corpus = corpus_of(["labels"], train=[{"labels": x} for x in (["c", "a"], [], ["b", "b"])])
    indicators = build_label_indicators(corpus.splits["train"], "labels", ("a", "b", "c"))
    assert indicators.dtype == np.float32
    assert indicators.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
