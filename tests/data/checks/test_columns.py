"""Tests of the columns of a split."""

from llmkit.data.checks.columns import object_array, with_columns


def test_columns_are_added_or_replaced(make):
    split = make(train=[("a", 0), ("b", 1), ("c", 0)]).splits["train"].select([2, 0])
    changed = with_columns(split, {"label": [["x"], []], "more": [1, 2]})
    assert changed.rows[:] == {"text": ["c", "a"], "label": [["x"], []], "more": [1, 2]}
    assert [changed.place(0), changed.place(1)] == ["train.jsonl:3", "train.jsonl:1"]
    assert split.column("label") == [0, 0]


def test_an_object_array_keeps_each_value_whole():
    array = object_array(iter([(1, 2), (3, 4)]))
    assert (array.shape, array.dtype, array[1]) == ((2,), object, (3, 4))
    assert object_array([]).shape == (0,)
