import pytest

from llmkit.data.checks.row_errors import collect_errors


def test_few_faults_are_told_by_code():
    faults = [("a:1", ("X01", "one", "fix")), ("a:2", ("X02", "two", "")), ("a:3", ("X01", "three", "fix"))]
    assert [str(problem) for problem in collect_errors(faults)] == [
        "error[X01] a:1: one. Fix: fix", "error[X01] a:3: three. Fix: fix", "error[X02] a:2: two.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "last"),
    [
        (20, "fault 20"),
        (21, "fault 21"),
        (22, "2 more errors of this kind from here on"),
        (5000, "4,980 more"),
    ],
)
def test_many_faults_are_counted(count, last):
    problems = collect_errors((f"a:{n}", ("X01", f"fault {n}", "fix")) for n in range(1, count + 1))
    assert len(problems) == min(count, 21)
    assert problems[19].message == "fault 20"
    assert problems[-1].message.startswith(last)
    assert problems[-1].place == f"a:{min(count, 21)}"
    assert problems[-1].fix == "fix"
