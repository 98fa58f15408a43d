"""YAML 1.2 scalars, places, and what is refused; a dump reads back to the same values."""

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
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str) -> None:
    found = parse(f"key: {text}\n", "a.yaml").value["key"]
    assert found == SCALARS[text]
    assert type(found) is type(SCALARS[text])


def test_block_scalars_are_text() -> None:
    assert parse("a: |\n  1\nb: >-\n  x\n  y\n", "a.yaml").value == {"a": "1\n", "b": "x y"}


def test_keys_are_text() -> None:
    assert parse("{1: a, true: b, null: c}", "a.yaml").value == {"1": "a", "true": "b", "null": "c"}


def test_every_key_and_value_has_its_place() -> None:
    document = parse("# first\ntrain:\n  epochs: 2\n  labels: [a,  b]\n", "a.yaml")
    assert document.keys == {("train",): (2, 1), ("train", "epochs"): (3, 3), ("train", "labels"): (4, 3)}
    assert document.values["train", "epochs"] == (3, 11)
    assert document.values["train", "labels", 1] == (4, 16)


def test_the_first_of_two_equal_keys_counts_and_the_second_is_told() -> None:
    document = parse("a: {x: 1}\nb: 1\na: {x: 2, y: 3}\n", "a.yaml")
    assert document.value == {"a": {"x": 1}, "b": 1}
    assert document.values["a", "x"] == (1, 8)
    [(mark, problem)] = document.problems
    assert mark == (3, 1)
    assert problem.message == 'the key "a" stands in line 1 and again in line 3'


REFUSED = {
    "a tab in the indentation": ("train:\n\tepochs: 1\n", "C01 2:1 a tab stands where only spaces may"),
    "a tab after the colon": ("a:\t1\n", "C01 1:3 a tab stands where only spaces may"),
    "an empty file": ("", "C12 1:1 nothing stands in the file"),
    "comments alone": ("# a\n", "C12 1:1 nothing stands in the file"),
    "a list at the top": ("\n- a\n", "C12 2:1 a list stands at the top"),
    "a value at the top": ("a\n", "C12 1:1 a single value stands at the top"),
    "two documents": ("a: 1\n---\nb: 1\n", "C12 2:1 a second document begins"),
    "an open [": (
        "a: 1\nb: [x, y\nc:\n  d: 2\n",
        'C13 2:4 the "[" opened here is not closed (reading stopped at 3:2)',
    ),
    "an open {": ("a: {b: [1, 2]\n", 'C13 1:4 the "{" opened here is not closed (reading stopped at 2:1)'),
    "an open quote": ('a: 1\nb: "x\nc: 2\n', "C13 2:4 the quote opened here is not closed"),
    "a Windows path in double quotes": ('a: "C:\\data"\n', "C13 1:8 this backslash begins no known escape"),
    "two colons": ("a: b: c\n", 'C13 1:5 this ":" makes no key here'),
    "uneven indentation": ("a:\n  b: 1\n c: 2\n", "C13 3:2 this does not fit the lines above it"),
    "a reserved character": ("a: @x\n", "C13 1:4 an unquoted text can't begin with @"),
    "a list as a key": ("? [a]\n: 1\n", "C13 1:3 a key is a list or a mapping"),
    "a control character": ("a: 1\nb: \x01\n", "C13 2:4 the character U+0001 can't stand in a recipe"),
    "half a surrogate pair": ('a: "\\ud800"\n', "C13 1:4 the text holds an escape that is no character"),
    "an escape past Unicode": ('a: "\\UFFFFFFFF"\n', "C13 1:7 a number here is too large"),
    "a Python tag": (
        "a: !!python/object/apply:os.system [ls]\n",
        'C14 1:4 the tag "!!python/object/apply:os.system" is not used in recipes',
    ),
    "a tag of one's own": ("a: !x 1\n", 'C14 1:4 the tag "!x" is not used in recipes'),
    "a standard tag": ("a: !!str 1\n", 'C14 1:4 the tag "!!str" is not used in recipes'),
    "an alias bomb": (
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        'C14 1:4 anchors and aliases ("a") are not used in recipes',
    ),
    "nested too deep": ("a: " + "[" * 50_000, "C14 1:35 values are nested more than 32 deep"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_code_and_place(case: str) -> None:
    text, expected = REFUSED[case]
    with pytest.raises(RecipeError) as caught:
        parse(text, "a.yaml")
    [problem] = caught.value.details
    assert f"{problem.code} {problem.place.removeprefix('a.yaml:')} {problem.message}" == expected
    assert problem.fix


def test_depth_32_is_accepted() -> None:
    assert parse("a: " + "[" * 31 + "]" * 31, "a.yaml").value["a"]


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
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
def test_content_that_is_no_recipe_text(tmp_path: Path, content: bytes, line: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        read(file, "a.yaml")
    [problem] = caught.value.details
    assert f"[{problem.code}] {problem.place}: {problem.message}" == line


def test_a_missing_file_and_a_folder_are_one_line_each(tmp_path: Path) -> None:
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
def test_the_value_of_an_override(text: str) -> None:
    assert parse_value(text, "key=") == OVERRIDES[text]


@pytest.mark.parametrize("text", ["[a", "{a: 1, a: 2}", '"x" y', "\udce9", "[\udce9]", "[*a]"])
def test_a_broken_value_of_an_override_is_told_at_the_override(text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_value(text, "key=...")
    assert [problem.place for problem in caught.value.details] == ["key=..."]


PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
WORDS = st.sampled_from([*SCALARS, "- a", "#a", "a: b", "é\n ", "\u2028x"]) | PLAIN
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(WORDS, VALUES, min_size=1, max_size=4))
def test_a_dump_reads_back_to_the_same_values(content: dict[str, Any]) -> None:
    assert parse(dump(content), "a.yaml").value == content


def test_a_dump_repeats_an_object_instead_of_naming_it() -> None:
    shared = ["a"]
    assert parse(dump({"x": shared, "y": shared}), "a.yaml").value == {"x": ["a"], "y": ["a"]}
