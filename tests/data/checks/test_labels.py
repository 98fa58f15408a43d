import pytest

from llmkit.data.checks.labels import in_order, label_ids, name_of_label, numbers_of, rows_by_label


@pytest.mark.parametrize(
    ("value", "name"),
    [("spam", "spam"), (3, "3"), (-1, "-1"), (True, "true"), (False, "false"), (" a ", " a "),
     ("", None), ("  ", None), (None, None), (1.0, None), (float("nan"), None), (["a"], None)],
)  # fmt: skip
def test_the_name_of_a_label(value, name):
    assert name_of_label(value) == name


def test_names_are_sorted_as_numbers_where_all_are():
    assert in_order(["10", "9", "-1", "9"]) == ("-1", "9", "10")
    assert in_order(["10", "9", "x"]) == ("10", "9", "x")


def test_numbers_stand_for_names_that_are_no_numbers():
    assert numbers_of(["neg", "pos"]) == {"neg": 0, "pos": 1, "0": 0, "1": 1}
    assert numbers_of(["1", "2"]) == {"1": 0, "2": 1}


def test_rows_by_label_keep_their_order():
    assert rows_by_label(["b", "a", None, "b"]) == {"b": [0, 3], "a": [1]}


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
def test_label_ids_count_the_names(make, values, names, ids):
    part = make(train=[("x", value) for value in values]).splits["train"]
    assert label_ids(part, "label", names).tolist() == ids
