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


def error_places(text, **keys):
    with pytest.raises(DataError) as caught:
        read(text, **keys)
    return [(detail.code, detail.place) for detail in caught.value.details]


# Python 3.11's csv module does not quote a carriage return, so it can't be read back.
FIELD = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.tuples(FIELD, FIELD), max_size=5), st.sampled_from(",\t"))
def test_output_of_the_csv_module_is_read_back(rows, delimiter):
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerows([("text", "label"), *rows])
    parsed = read(file.getvalue(), delimiter)
    assert [tuple(row.values()) for _, row in parsed] == rows


def test_a_row_has_the_line_number_of_its_beginning():
    assert read('a,b\n"x\n\ny",1\n\nz,2\n') == [(2, {"a": "x\n\ny", "b": "1"}), (6, {"a": "z", "b": "2"})]


def test_rows_after_a_quoting_error_are_checked_too():
    assert error_places('a,b\n"x "y",1\nz,2\nz,2,3\n') == [("J08", "a:2"), ("J07", "a:4")]


def test_an_open_quote_is_reported_where_it_opens():
    assert error_places('a,b\nx,1\n"y,1\nz,1\nz,1\n') == [("J08", "a:3")]


def test_an_open_quote_is_reported_once_the_field_exceeds_the_limit():
    """The limit is at least the csv module's default of 131,072 characters."""
    assert error_places('a\n"y\n' + 3 * (50_000 * "x" + "\n") + "z\n")[0] == ("J08", "a:2")


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
def test_an_unusable_header_stops_reading(header, delimiter, code):
    assert error_places(f"{header}\nx{delimiter}y{delimiter}z\n", delimiter=delimiter) == [(code, "a:1")]


def test_one_column_is_enough():
    assert read("text\nx\n") == [(2, {"text": "x"})]


def test_a_file_without_rows_has_none():
    assert read("") == read("\n\n") == read("text,label\n") == []
