import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.base.errors import DataError
from llmkit.data.reading.csv_rows import parse_delimited
from llmkit.data.reading.file_errors import FileErrors


def read(text, delimiter=",", limit=1000):
    errors = FileErrors("a")
    lines = enumerate(io.StringIO(text, newline="\n"), 1)
    rows = list(parse_delimited(lines, errors, delimiter=delimiter, limit=limit))
    errors.raise_if_any()
    return rows


def faults(text, **keys):
    with pytest.raises(DataError) as caught:
        read(text, **keys)
    return [(problem.code, problem.place) for problem in caught.value.details]


# The csv module of Python 3.11 writes a carriage return without quotes, which no reader can undo.
FIELD = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.tuples(FIELD, FIELD), max_size=5), st.sampled_from(",\t"))
def test_what_the_csv_module_writes_is_read_back(rows, delimiter):
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerows([("text", "label"), *rows])
    found = read(file.getvalue(), delimiter)
    assert [tuple(row.values()) for _, row in found] == rows


def test_a_row_has_the_line_where_it_begins():
    assert read('a,b\n"x\n\ny",1\n\nz,2\n') == [(2, {"a": "x\n\ny", "b": "1"}), (6, {"a": "z", "b": "2"})]


def test_after_a_quoting_fault_the_next_rows_are_checked_too():
    assert faults('a,b\n"x "y",1\nz,2\nz,2,3\n') == [("J08", "a:2"), ("J07", "a:4")]


def test_an_open_quote_is_told_where_it_opens():
    assert faults('a,b\nx,1\n"y,1\nz,1\nz,1\n') == [("J08", "a:3")]


def test_an_open_quote_does_not_swallow_more_than_a_field_may_hold():
    """The limit is never below the csv module's own."""
    assert faults('a\n"y\n' + 3 * (50_000 * "x" + "\n") + "z\n")[0] == ("J08", "a:2")


def test_a_long_field_within_the_limit_is_read():
    text = 300_000 * "x"
    assert read(f'a\n"{text}"\n', limit=400_000) == [(2, {"a": text})]


@pytest.mark.parametrize(
    ("header", "delimiter", "code"),
    [
        ("text;label", ",", "J10"),
        ("text\tlabel", ",", "J10"),
        ("text,label", "\t", "J10"),
        ("text|label", "\t", "J10"),
        ("text,text", ",", "J09"),
        ("text, ", ",", "J09"),
        ("good,1", ",", "J09"),
        ("good,-0.5", ",", "J09"),
    ],
)
def test_a_header_that_cannot_name_columns_stops(header, delimiter, code):
    assert faults(f"{header}\nx{delimiter}y{delimiter}z\n", delimiter=delimiter) == [(code, "a:1")]


def test_one_column_is_enough():
    assert read("text\nx\n") == [(2, {"text": "x"})]


def test_a_file_without_rows_has_none():
    assert read("") == read("\n\n") == read("text,label\n") == []
