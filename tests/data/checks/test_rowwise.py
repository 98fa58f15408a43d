import pytest

from llmkit.data.checks.rowwise import objects, told, with_columns


def test_few_faults_are_told_by_code():
    faults = [("a:1", ("X01", "one", "fix")), ("a:2", ("X02", "two", "")), ("a:3", ("X01", "three", "fix"))]
    assert [str(problem) for problem in told(faults)] == [
        "error[X01] a:1: one. Fix: fix", "error[X01] a:3: three. Fix: fix", "error[X02] a:2: two.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "last"),
    [
        (20, "fault 20"),
        (21, "fault 21"),
        (22, "2 more faults of this kind from here on"),
        (5000, "4,980 more"),
    ],
)
def test_many_faults_are_counted(count, last):
    problems = told((f"a:{n}", ("X01", f"fault {n}", "fix")) for n in range(1, count + 1))
    assert len(problems) == min(count, 21)
    assert problems[19].message == "fault 20"
    assert problems[-1].message.startswith(last)
    assert problems[-1].place == f"a:{min(count, 21)}"
    assert problems[-1].fix == "fix"


def test_columns_are_added_or_take_the_place_of_others(make):
    part = make(train=[("a", 0), ("b", 1), ("c", 0)]).splits["train"].select([2, 0])
    changed = with_columns(part, {"label": [["x"], []], "more": [1, 2]})
    assert changed.rows[:] == {"text": ["c", "a"], "label": [["x"], []], "more": [1, 2]}
    assert [changed.place(0), changed.place(1)] == ["train.jsonl:3", "train.jsonl:1"]
    assert part.column("label") == [0, 0]


def test_objects_are_kept_whole():
    array = objects(iter([(1, 2), (3, 4)]))
    assert (array.shape, array.dtype, array[1]) == ((2,), object, (3, 4))
    assert objects([]).shape == (0,)
