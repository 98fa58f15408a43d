"""Parsing the values of each kind: what is accepted, and what is an error at its line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.base.errors import DataError
from llmkit.data.reading.scored_files import Table
from llmkit.data.reading.scored_values import (
    COLUMNS,
    SEVERAL,
    check_same_words,
    convert_to_iob2,
    number_passages,
    read_predictions,
    read_references,
)
from llmkit.metrics.registry import KINDS, Kind


def table(*rows: dict[str, Any]) -> Table:
    return Table("f.jsonl", range(1, len(rows) + 1), rows)


def column(*values: Any, name: str = "value") -> Table:
    return table(*({name: value} for value in values))


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("labels", ["a ", 1, 1.5, True], ["a", "1", "1.5", "true"]),
        ("numbers", ["1e3", 2, -0.5, " 7 "], [1000.0, 2.0, -0.5, 7.0]),
        ("texts", ["a ", "", "😀"], ["a ", "", "😀"]),
        ("answers", ["a", ""], ["a", ""]),
        ("tags", ["B-A O", ["S-A"], ""], [["B-A", "O"], ["S-A"], []]),
        ("log_probabilities", ["-1 0", [-2.5]], [[-1.0, 0.0], [-2.5]]),
    ],
)
def test_predictions_of_each_kind(kind: Kind, values: list[Any], expected: list[Any]) -> None:
    assert read_predictions(column(*values), kind) == expected


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("texts", ["a", ["b", "c"]], [["a"], ["b", "c"]]),
        ("answers", [["a"], [], {"text": ["b"], "answer_start": [0]}, "c"], [["a"], [], ["b"], ["c"]]),
        ("log_probabilities", ["a", "b c"], ["a", "b c"]),
        ("labels", ["a", 2], ["a", "2"]),
    ],
)
def test_references_of_each_kind(kind: Kind, values: list[Any], expected: list[Any]) -> None:
    assert read_references([column(*values)], kind) == expected


def test_several_files_of_references_become_one_list_per_example() -> None:
    assert read_references([column("a", "b"), column(["c", "d"], "e")], "texts") == [
        ["a", "c", "d"],
        ["b", "e"],
    ]
    for kind in set(KINDS) - set(SEVERAL):
        with pytest.raises(DataError, match="U01"):
            read_references([column("a"), column("b")], kind)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("labels", [], "is [], not a single label"),
        ("labels", "  ", "is empty"),
        ("labels", float("nan"), "is nan"),
        ("numbers", "NaN", 'is "NaN", not a finite number'),
        ("numbers", True, "is True"),
        ("numbers", 10**400, "not a number"),
        ("texts", 3, "is 3, not a text"),
        ("tags", "PER", '"PER" is not a tag'),
        ("tags", [1], "not a list of tags"),
        ("log_probabilities", [0.1], "above 1"),
        ("log_probabilities", ["x"], "not a number"),
        ("log_probabilities", -1.0, "not a list of numbers"),
    ],
)
def test_a_value_of_another_kind_is_e07_at_its_line(kind: Kind, value: Any, message: str) -> None:
    good = {"labels": "a", "numbers": 1, "texts": "a", "tags": "O", "log_probabilities": "-1"}[kind]
    with pytest.raises(DataError) as raised:
        read_predictions(column(good, value), kind)
    assert str(raised.value).startswith('error[E07] f.jsonl:2: "value" ')
    assert message in str(raised.value)


@given(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text(max_size=3)))
)
def test_any_value_is_parsed_or_e07(value: Any) -> None:
    for kind in KINDS:
        for read in (
            lambda kind: read_predictions(column(value), kind),
            lambda kind: read_references([column(value)], kind),
        ):
            try:
                assert len(read(kind)) == 1
            except DataError as error:
                assert [detail.code for detail in error.details] == ["E07"]


def test_the_default_column_is_used_unless_another_is_named() -> None:
    run = table({"text": "in", "label": "a", "prediction": "b", "probability": 0.7})
    assert (read_predictions(run, "labels"), read_references([run], "labels")) == (["b"], ["a"])
    assert read_predictions(run, "labels", "label") == ["a"]
    with pytest.raises(DataError, match='no column "labl"; did you mean "label"'):
        read_predictions(run, "labels", "labl")
    with pytest.raises(DataError, match=r"there is no column of references.*--column references=NAME"):
        read_references([column("a", name="x")], "texts")


def test_every_kind_can_be_read_from_plain_text() -> None:
    assert set(COLUMNS) == set(KINDS)
    assert all("text" in ours and "text" in theirs for ours, theirs in COLUMNS.values())


def test_passages_are_numbered_if_the_file_names_them() -> None:
    numbers = number_passages(table({"context": "x"}, {"context": "y"}, {"context": "x"}))
    assert numbers is not None and numbers.tolist() == [0, 1, 0]
    assert number_passages(table({"context": "x"}, {"context": None})) is None
    assert number_passages(table({"answers": []})) is None


def test_tags_must_belong_to_the_same_words() -> None:
    ours = table({"tokens": ["a", "b"], "tags": ["O", "O"]})
    other = table({"tokens": ["a", "c"], "tags": ["O", "O"]})
    check_same_words(ours, ours, [["O", "O"]], [["O", "O"]])
    check_same_words(table({"tags": ["O", "O"]}), other, [["O", "O"]], [["O", "O"]])
    with pytest.raises(DataError, match=r'f\.jsonl:1: the word is "b", but "c" in f\.jsonl:1'):
        check_same_words(ours, other, [["O", "O"]], [["O", "O"]])
    with pytest.raises(DataError, match=r"2 tags, but the one in f\.jsonl:1 has 1"):
        check_same_words(ours, other, [["O", "O"]], [["O"]])


@pytest.mark.parametrize(
    "row",
    [
        ["S-A", "O", "B-B", "E-B"],
        ["I-A", "O", "I-B", "I-B"],
        ["B-A", "O", "B-B", "M-B"],
        ["U-A", "O", "B-B", "L-B"],
    ],
)
def test_tags_of_any_scheme_are_converted_to_iob2(row: list[str]) -> None:
    assert convert_to_iob2([row], [["O", *row]], strict=False) == (
        [["B-A", "O", "B-B", "I-B"]],
        [["O", "B-A", "O", "B-B", "I-B"]],
    )


def test_strict_tags_must_be_iob2_and_are_not_repaired() -> None:
    invalid = [["I-A", "O", "B-A"]]
    assert convert_to_iob2(invalid, [["B-A", "O", "B-A"]], strict=True) == (invalid, [["B-A", "O", "B-A"]])
    with pytest.raises(
        DataError, match=r"error\[E07\] --strict: the tags must be in IOB2, but the references are in IOB1"
    ):
        convert_to_iob2([["O"] * 3], [["I-A", "O", "I-B"]], strict=True)
    with pytest.raises(DataError, match='"S-A" is not'):
        convert_to_iob2([["S-A"]], [["B-A"]], strict=True)
