import pytest

from llmkit.base.errors import DataError
from llmkit.data.reading.file_errors import FileErrors, excerpt


def raised(errors):
    with pytest.raises(DataError) as caught:
        errors.raise_if_any()
    return caught.value.details


def test_a_place_consists_of_file_line_and_column():
    errors = FileErrors("a.csv")
    errors.add("J01", "x")
    errors.add("J01", "x", line=3)
    errors.add("J01", "x", line=3, column=9)
    assert [detail.place for detail in raised(errors)] == ["a.csv", "a.csv:3", "a.csv:3:9"]


def test_nothing_is_raised_without_errors():
    errors = FileErrors("a.csv")
    errors.notes.append("a note")
    errors.raise_if_any()


def test_300_errors_are_kept_and_the_rest_is_counted():
    errors = FileErrors("a.csv")
    for line in range(1, 1001):
        errors.add("J07", "x", line=line)
    details = raised(errors)
    assert [detail.place for detail in details[:300]] == [f"a.csv:{line}" for line in range(1, 301)]
    assert str(details[300]) == "error[J07] a.csv: 700 more errors are not listed."
    assert len(details) == 301


def test_fail_raises_the_collected_errors_too():
    errors = FileErrors("a.csv")
    errors.add("J07", "x", line=2)
    with pytest.raises(DataError) as caught:
        errors.fail("F08", "y", line=5)
    assert [(detail.code, detail.place) for detail in caught.value.details] == [
        ("J07", "a.csv:2"),
        ("F08", "a.csv:5"),
    ]


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("short", 2, "short"),
        ("x" * 100 + "|" + "y" * 100, 100, "x" * 20 + "|" + "y" * 19),
        ("a\tb\x1b[31m\u202ec", 0, "a b [31m c"),
    ],
)
def test_an_excerpt_is_short_and_printable(text, position, expected):
    assert excerpt(text, position) == expected
