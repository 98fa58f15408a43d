"""Tests of the errors of checks that go row by row."""

import pytest

from llmkit.data.checks.row_errors import collect_errors


def test_errors_are_grouped_by_code():
    errors = [("a:1", ("X01", "one", "fix")), ("a:2", ("X02", "two", "")), ("a:3", ("X01", "three", "fix"))]
    assert [str(error) for error in collect_errors(errors)] == [
        "error[X01] a:1: one. Fix: fix", "error[X01] a:3: three. Fix: fix", "error[X02] a:2: two.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "last"),
    [
        (20, "error 20"),
        (21, "error 21"),
        (22, "2 more errors of this kind from here on"),
        (5000, "4,980 more"),
    ],
)
def test_errors_above_the_limit_are_counted(count, last):
    errors = collect_errors((f"a:{n}", ("X01", f"error {n}", "fix")) for n in range(1, count + 1))
    assert len(errors) == min(count, 21)
    assert errors[19].message == "error 20"
    assert errors[-1].message.startswith(last)
    assert errors[-1].place == f"a:{min(count, 21)}"
    assert errors[-1].fix == "fix"
