"""Tests of the reading of class labels."""

import pytest

from llmkit.data.checks.labels import encode_labels, get_label_name, group_rows, index_labels, sort_labels


@pytest.mark.parametrize(
    ("value", "name"),
    [("spam", "spam"), (3, "3"), (-1, "-1"), (True, "true"), (False, "false"), (" a ", " a "),
     ("", None), ("  ", None), (None, None), (1.0, None), (float("nan"), None), (["a"], None)],
)  # fmt: skip
def test_label_name_of_a_value(value, name):
    assert get_label_name(value) == name


def test_labels_are_sorted_by_number_if_all_are_integers():
    assert sort_labels(["10", "9", "-1", "9"]) == ("-1", "9", "10")
    assert sort_labels(["10", "9", "x"]) == ("10", "9", "x")


def test_class_numbers_are_labels_too_unless_names_are_integers():
    assert index_labels(["neg", "pos"]) == {"neg": 0, "pos": 1, "0": 0, "1": 1}
    assert index_labels(["1", "2"]) == {"1": 0, "2": 1}


def test_rows_by_label_keep_their_order():
    assert group_rows(["b", "a", None, "b"]) == {"b": [0, 3], "a": [1]}


@pytest.mark.parametrize(
    ("values", "names", "ids"),
    [
        (["pos", "neg"], ("neg", "pos"), [1, 0]),
        ([1, 0], ("neg", "pos"), [1, 0]),
        (["1", "0"], ("neg", "pos"), [1, 0]),
        ([5, 3], ("3", "5"), [1, 0]),
        ([True, False], ("false", "true"), [1, 0]),
    ],
)
def test_label_ids_are_positions_in_the_names(make, values, names, ids):
    split = make(train=[("x", value) for value in values]).splits["train"]
    assert encode_labels(split, "label", names).tolist() == ids
