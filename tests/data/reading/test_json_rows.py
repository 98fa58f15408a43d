import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.base.errors import DataError
from llmkit.data.reading.file_errors import FileErrors
from llmkit.data.reading.json_rows import parse_json_document, parse_json_lines

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), max_size=4)


def lines(text):
    errors = FileErrors("a")
    rows = list(parse_json_lines(enumerate(text.splitlines(keepends=True), 1), errors))
    errors.raise_if_any()
    return rows


def document(text):
    errors = FileErrors("a")
    rows = list(parse_json_document(text, errors))
    errors.raise_if_any()
    return rows


def error_places(read, text):
    with pytest.raises(DataError) as caught:
        read(text)
    return [(detail.code, detail.place) for detail in caught.value.details]


@given(ROWS, st.booleans())
def test_lines_are_parsed_like_json_loads(rows, ascii_only):
    text = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)
    errors = FileErrors("a")
    parsed = list(parse_json_lines(enumerate(text.split("\n"), 1), errors))
    errors.raise_if_any()
    assert parsed == list(enumerate(rows, 1))


@given(ROWS, st.sampled_from([None, 0, 2]), st.booleans())
def test_documents_are_parsed_like_json_loads(rows, indent, under_data):
    text = json.dumps({"a": [{}], "data": rows, "b": 1} if under_data else rows, indent=indent)
    assert [row for _, row in document(text)] == rows


def test_a_row_has_the_line_number_of_its_opening_bracket():
    assert document('[{"a": "x\\n"}, {"b":\n2},\n\n {}]') == [(1, {"a": "x\n"}), (1, {"b": 2}), (4, {})]


def test_blank_lines_are_skipped():
    assert lines('\n{"a": 1}\n \t\n{}\n') == [(2, {"a": 1}), (4, {})]


def test_each_bad_line_is_reported():
    assert error_places(lines, '{"a": \n[1]\n{"a": 1}\n{"a": 1, "a": 2}\n{"a": -Infinity}\n') == [
        ("J01", "a:1:7"),
        ("J03", "a:2"),
        ("J04", "a:4"),
        ("J05", "a:5"),
    ]


def test_errors_inside_a_document_have_line_numbers():
    assert error_places(document, '[{"a": NaN},\n{"b": {"c": 1, "c": 2}},\n3,\n{"d": "\\udead"}]') == [
        ("J05", "a:1"),
        ("J04", "a:2"),
        ("J03", "a:3"),
        ("J11", "a:4"),
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [('{"a": 1,}', "a:1:8"), ('{"a": [1, 2 , ]}', "a:1:13"), ('{"a": 1\t,\t}', "a:1:9")],
)
def test_a_trailing_comma_is_reported_at_its_position(text, place):
    assert error_places(lines, text) == [("J02", place)]
    assert error_places(document, f"[\n{text}]") == [("J02", place.replace("a:1", "a:2"))]


@pytest.mark.parametrize(
    "text",
    ["", "[", "[{}", "[{} {}]", '{"data": [{}]', '{"data" [{}]}', '{"data": [{}] "b": 1}', "{1: 2}", "[{}]]"],
)
def test_a_broken_document_is_j01(text):
    assert [code for code, _ in error_places(document, text)] == ["J01"]


def test_a_surrogate_pair_and_an_escaped_backslash_are_accepted():
    assert lines(r'{"a": "\ud83d\ude00 \\ud83d"}') == [(1, {"a": "\U0001f600 \\ud83d"})]


def test_a_text_with_entities_in_a_list_is_a_row():
    pair = ["Anna slept", {"entities": [[0, 4, "PER"]]}]
    row = {"text": pair[0], **pair[1]}
    assert list(parse_json_document(json.dumps([pair]), FileErrors("a"))) == [(1, row)]
    assert list(parse_json_lines([(1, json.dumps(pair))], FileErrors("a"))) == [(1, row)]


def test_other_lists_are_no_rows():
    errors = FileErrors("a")
    assert list(parse_json_lines([(1, '["a", {"b": 1}]'), (2, '["a", "b"]')], errors)) == []
    with pytest.raises(DataError, match="J03"):
        errors.raise_if_any()
