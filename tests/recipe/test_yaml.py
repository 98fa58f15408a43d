"""The YAML reader: scalars of YAML 1.2, positions, errors, and dumping."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.base.errors import RecipeError
from llmkit.recipe.yaml import MAX_BYTES, dump, parse, parse_value, read

SCALARS = {
    "1e-5": 1e-5,
    "3E+2": 300.0,
    ".5": 0.5,
    "12": 12,
    "012": 12,
    "-3": -3,
    "0x1F": 31,
    "0o17": 15,
    ".inf": math.inf,
    "no": "no",
    "yes": "yes",
    "on": "on",
    "off": "off",
    "12:30:45": "12:30:45",
    "2026-01-01": "2026-01-01",
    "1_000": "1_000",
    "true": True,
    "False": False,
    "null": None,
    "~": None,
    "": None,
    '"1e-5"': "1e-5",
    "'true'": "true",
    "'null'": "null",
    "9" * 5000: "9" * 5000,
}


@pytest.mark.parametrize("text", SCALARS, ids=lambda text: text[:12] or "empty")
def test_scalars_follow_the_yaml_1_2_core_schema(text: str) -> None:
    value = parse(f"key: {text}\n", "a.yaml").value["key"]
    assert value == SCALARS[text]
    assert type(value) is type(SCALARS[text])


def test_block_scalars_are_strings() -> None:
    assert parse("a: |\n  1\nb: >-\n  x\n  y\n", "a.yaml").value == {"a": "1\n", "b": "x y"}


def test_keys_are_strings() -> None:
    assert parse("{1: a, true: b, null: c}", "a.yaml").value == {"1": "a", "true": "b", "null": "c"}


def test_document_records_the_position_of_keys_and_values() -> None:
    document = parse("# first\ntrain:\n  epochs: 2\n  labels: [a,  b]\n", "a.yaml")
    assert document.keys == {("train",): (2, 1), ("train", "epochs"): (3, 3), ("train", "labels"): (4, 3)}
    assert document.values["train", "epochs"] == (3, 11)
    assert document.values["train", "labels", 1] == (4, 16)


def test_first_of_two_equal_keys_counts_and_second_is_an_error() -> None:
    document = parse("a: {x: 1}\nb: 1\na: {x: 2, y: 3}\n", "a.yaml")
    assert document.value == {"a": {"x": 1}, "b": 1}
    assert document.values["a", "x"] == (1, 8)
    [(mark, error)] = document.repeated_keys
    assert mark == (3, 1)
    assert error.message == 'the key "a" is given on line 1 and again on line 3'


INVALID = {
    "a tab in the indentation": ("train:\n\tepochs: 1\n", "C01 2:1 a tab where only spaces are allowed"),
    "a tab after the colon": ("a:\t1\n", "C01 1:3 a tab where only spaces are allowed"),
    "an empty file": ("", "C12 1:1 the file has no content"),
    "only comments": ("# a\n", "C12 1:1 the file has no content"),
    "a list at the top level": ("\n- a\n", "C12 2:1 the top level is a list"),
    "a value at the top level": ("a\n", "C12 1:1 the top level is a single value"),
    "two documents": ("a: 1\n---\nb: 1\n", "C12 2:1 a second YAML document begins here"),
    "an open [": (
        "a: 1\nb: [x, y\nc:\n  d: 2\n",
        'C13 2:4 the "[" opened here is not closed (reading stopped at 3:2)',
    ),
    "an open {": ("a: {b: [1, 2]\n", 'C13 1:4 the "{" opened here is not closed (reading stopped at 2:1)'),
    "an open quote": ('a: 1\nb: "x\nc: 2\n', "C13 2:4 the quote opened here is not closed"),
    "a Windows path in double quotes": ('a: "C:\\data"\n', "C13 1:8 a backslash with an unknown escape"),
    "two colons": ("a: b: c\n", 'C13 1:5 this ":" does not follow a key'),
    "uneven indentation": (
        "a:\n  b: 1\n c: 2\n",
        "C13 3:2 the indentation does not match that of the lines above",
    ),
    "a reserved character": ("a: @x\n", "C13 1:4 an unquoted string can't start with @"),
    "a list as a key": ("? [a]\n: 1\n", "C13 1:3 this key is a list or a mapping"),
    "a control character": ("a: 1\nb: \x01\n", "C13 2:4 the character U+0001 is not allowed"),
    "a lone surrogate": ('a: "\\ud800"\n', "C13 1:4 an escape in this string is not a valid character"),
    "an escape beyond Unicode": ('a: "\\UFFFFFFFF"\n', "C13 1:7 a number here is too large"),
    "a Python tag": (
        "a: !!python/object/apply:os.system [ls]\n",
        'C14 1:4 tags ("!!python/object/apply:os.system") are not allowed in recipes',
    ),
    "a custom tag": ("a: !x 1\n", 'C14 1:4 tags ("!x") are not allowed in recipes'),
    "a standard tag": ("a: !!str 1\n", 'C14 1:4 tags ("!!str") are not allowed in recipes'),
    "an alias bomb": (
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        'C14 1:4 anchors and aliases ("a") are not allowed in recipes',
    ),
    "nested too deep": ("a: " + "[" * 50_000, "C14 1:35 values are nested more than 32 levels deep"),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_yaml_is_an_error_with_code_and_place(case: str) -> None:
    text, expected = INVALID[case]
    with pytest.raises(RecipeError) as caught:
        parse(text, "a.yaml")
    [error] = caught.value.details
    assert f"{error.code} {error.place.removeprefix('a.yaml:')} {error.message}" == expected
    assert error.fix


def test_32_levels_of_nesting_are_accepted() -> None:
    assert parse("a: " + "[" * 31 + "]" * 31, "a.yaml").value["a"]


def test_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    document = read(file, "a.yaml")
    assert document.value == {"a": 1}
    assert document.keys["a",] == (1, 1)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a: 1\nb: caf\xe9\n", "[C13] a.yaml:2:7: the byte 0xE9 is not UTF-8"),
        (b"\xef\xbb\xbfb: caf\xe9\n", "[C13] a.yaml:1:7: the byte 0xE9 is not UTF-8"),
        ("a: 1\n".encode("utf-16"), "[C13] a.yaml:1:1: the file is UTF-16"),
        (b"#" * (MAX_BYTES + 1), "[C14] a.yaml: the file is larger than 1 MiB"),
    ],
    ids=["latin-1", "latin-1 after a byte-order mark", "UTF-16", "too large"],
)
def test_file_that_is_not_utf8_or_too_large_is_an_error(tmp_path: Path, content: bytes, line: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        read(file, "a.yaml")
    [error] = caught.value.details
    assert f"[{error.code}] {error.place}: {error.message}" == line


def test_missing_file_and_folder_are_errors(tmp_path: Path) -> None:
    (tmp_path / "sentiment.yaml").touch()
    with pytest.raises(RecipeError, match=r'C15.* there is no such file; did you mean "sentiment.yaml"'):
        read(tmp_path / "sentimnt.yaml", "sentimnt.yaml")
    with pytest.raises(RecipeError, match=r"C15.* the file can't be read \(Is a directory\)"):
        read(tmp_path, "folder")


OVERRIDES: dict[str, Any] = {
    "3e-5": 3e-5,
    "null": None,
    "no": "no",
    "[neg, pos]": ["neg", "pos"],
    "{text: sentence, n: 1}": {"text": "sentence", "n": 1},
    "'1'": "1",
    " x ": "x",
    "*.jsonl": "*.jsonl",
    "!!python/name:os": "!!python/name:os",
    "a: b # c": "a: b # c",
}


@pytest.mark.parametrize("text", OVERRIDES)
def test_value_of_an_override_is_parsed(text: str) -> None:
    assert parse_value(text, "key=") == OVERRIDES[text]


@pytest.mark.parametrize("text", ["[a", "{a: 1, a: 2}", '"x" y', "\udce9", "[\udce9]", "[*a]"])
def test_invalid_value_of_an_override_is_reported_at_the_override(text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_value(text, "key=...")
    assert [error.place for error in caught.value.details] == ["key=..."]


PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
WORDS = st.sampled_from([*SCALARS, "- a", "#a", "a: b", "é\n ", "\u2028x"]) | PLAIN
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(WORDS, VALUES, min_size=1, max_size=4))
def test_dumped_values_are_parsed_to_equal_values(content: dict[str, Any]) -> None:
    assert parse(dump(content), "a.yaml").value == content


def test_dump_repeats_a_shared_object_instead_of_using_an_alias() -> None:
    shared = ["a"]
    assert parse(dump({"x": shared, "y": shared}), "a.yaml").value == {"x": ["a"], "y": ["a"]}
