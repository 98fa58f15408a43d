import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.base.errors import DataError
from llmkit.data.reading.csv_rows import Dialect, parse_delimited
from llmkit.data.reading.file_errors import FileErrors


def read_with_notes(text, default=",", delimiter=None, quoting="auto", limit=1000):
    errors = FileErrors("a")
    lines = enumerate(io.StringIO(text, newline="\n"), 1)
    rows = list(parse_delimited(lines, errors, Dialect(default, delimiter, quoting, limit)))
    errors.raise_if_any()
    return rows, errors.notes


def read(text, default=",", **settings):
    return read_with_notes(text, default, **settings)[0]


def values(text, default=",", **settings):
    return [tuple(row.values()) for _, row in read(text, default, **settings)]


def error_places(text, **keys):
    with pytest.raises(DataError) as caught:
        read(text, **keys)
    return [(detail.code, detail.place) for detail in caught.value.details]


# Python 3.11's csv module does not quote a carriage return, so it can't be read back.
FIELD = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=8)


def write(rows, delimiter, **settings):
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n", **settings)
    writer.writerows([("text", "label"), *rows])
    return file.getvalue()


@given(st.lists(st.tuples(FIELD, FIELD), max_size=5), st.sampled_from(",\t;|"))
def test_output_of_the_csv_module_is_read_back(rows, delimiter):
    assert values(write(rows, delimiter), delimiter, quoting="double") == rows


@given(st.lists(st.tuples(FIELD, FIELD), max_size=5), st.sampled_from(";|"))
def test_a_delimiter_in_the_header_is_recognized(rows, delimiter):
    parsed, notes = read_with_notes(write(rows, delimiter))
    assert [tuple(row.values()) for _, row in parsed] == rows
    (note,) = notes
    assert note == f"a: fields are separated by {'semicolons' if delimiter == ';' else 'vertical bars'}"


ONE_LINE = FIELD.map(lambda text: text.replace("\n", " "))


@given(st.lists(st.tuples(ONE_LINE, FIELD.map(lambda text: text.replace("\t", " "))), max_size=5))
def test_quoted_tabs_and_line_ends_in_tab_separated_files_are_read(rows):
    """Auto reads what a writer quoted, but a field that begins and ends with a quote and was not quoted loses both."""
    assert values(write(rows, "\t"), "\t") == rows


@given(st.lists(st.tuples(ONE_LINE, ONE_LINE), max_size=5))
def test_text_without_quoting_is_read_as_it_is(rows):
    plain = [tuple(field.replace("\t", " ") for field in row) for row in rows]
    text = "".join("\t".join(row) + "\n" for row in [("text", "label"), *plain])
    assert values(text, "\t", quoting="none") == [row for row in plain if any(row) or row == ("", "")]


def test_a_text_that_begins_with_a_quote_swallows_no_rows():
    """GLUE writes no quoting: a quote that opens in one row and closes in another belongs to the texts."""
    text = 'text\tlabel\n"Stop, he said\t0\nfine\t1\nand left"\t0\n"quoted"\t1\n'
    rows, notes = read_with_notes(text, "\t")
    expected = [('"Stop, he said', "0"), ("fine", "1"), ('and left"', "0"), ("quoted", "1")]
    assert [tuple(row.values()) for _, row in rows] == expected
    assert notes == [
        "a: 1 row with an unpaired quote, read as text (data.quoting=double reads quoted fields)"
    ]
    assert len(read(text, "\t", quoting="double")) == 2  # the fault that auto avoids


def test_a_quoted_line_end_in_the_last_field_is_one_row():
    assert values('label\ttext\n0\t"two\nlines"\n1\tone\n', "\t") == [("0", "two\nlines"), ("1", "one")]


def test_backslashes_before_quotes_are_named_and_read():
    text = 'text,label\n"he said \\"no\\", twice",0\n'
    with pytest.raises(DataError, match=r"J08\] a:2: .*Fix: set data.quoting=backslash"):
        read(text)
    assert values(text, quoting="backslash") == [('he said "no", twice', "0")]


def test_the_index_column_of_pandas_is_ignored_with_a_note():
    rows, notes = read_with_notes(",text,label\n0,good,1\n1,bad,0\n")
    assert [row for _, row in rows] == [{"text": "good", "label": "1"}, {"text": "bad", "label": "0"}]
    assert notes == ["a: column 1 has no name and is ignored (a row index, as pandas writes it)"]


def test_the_separator_line_of_excel_is_followed():
    assert values("sep=;\ntext;label\ngood, really;1\n") == [("good, really", "1")]


def test_a_delimiter_that_does_not_fit_is_named():
    with pytest.raises(
        DataError, match=r'J10\] a:1: .* commas instead of semicolons. Fix: set data.delimiter=","'
    ):
        read("text,label\nx,1\n", delimiter=";")


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
        ("text,text", ",", "J09"),
        ("text, ", ",", "J09"),
        ("good,1", ",", "J09"),
        ("good,-0.5", ",", "J09"),
    ],
)
def test_an_unusable_header_stops_reading(header, delimiter, code):
    assert error_places(f"{header}\nx{delimiter}y{delimiter}z\n", default=delimiter) == [(code, "a:1")]


def test_one_column_is_enough():
    assert read("text\nx\n") == [(2, {"text": "x"})]


def test_a_file_without_rows_has_none():
    assert read("") == read("\n\n") == read("text,label\n") == []
