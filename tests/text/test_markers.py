"""Markers around two entities: whole words first, the nearest two, and one nested inside the other."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.text.markers import MARKERS, find_error, mark_entities, remove_markers
from llmkit.text.words import split_words


@pytest.mark.parametrize(
    "text, head, tail, marked",
    [
        ("John founded Acme.", "John", "Acme", "<e1>John</e1> founded <e2>Acme</e2>."),
        ("John founded Acme.", "Acme", "John", "<e2>John</e2> founded <e1>Acme</e1>."),
        ("温家宝访问德国", "温家宝", "德国", "<e1>温家宝</e1>访问<e2>德国</e2>"),
        # the nearest two of several occurrences
        ("Bob, Ann and Bob", "Bob", "Ann", "<e1>Bob</e1>, <e2>Ann</e2> and Bob"),
        ("Bob is here and Ann: Bob", "Bob", "Ann", "Bob is here and <e2>Ann</e2>: <e1>Bob</e1>"),
        (
            "X and the United States of America X",
            "X",
            "the United States of America",
            "X and <e2>the United States of America</e2> <e1>X</e1>",
        ),
        # the same name twice
        ("Bob met Bob", "Bob", "Bob", "<e1>Bob</e1> met <e2>Bob</e2>"),
        # whole words before parts of words
        ("he saw the man", "he", "man", "<e1>he</e1> saw the <e2>man</e2>"),
        ("a party of art and craft", "art", "party", "a <e2>party</e2> of <e1>art</e1> and craft"),
        (
            "unhappy people",
            "happy",
            "people",
            "un<e1>happy</e1> <e2>people</e2>",
        ),  # there is no other occurrence
        ("C++ and C are 语言", "C", "语言", "C++ and <e1>C</e1> are <e2>语言</e2>"),
        # one inside the other
        ("the man", "the man", "man", "<e1>the <e2>man</e2></e1>"),
        ("the man", "the", "the man", "<e2><e1>the</e1> man</e2>"),
        ("中国银行", "中国", "中国银行", "<e2><e1>中国</e1>银行</e2>"),
        ("aaa ", "aa", "aa ", "a<e2><e1>aa</e1> </e2>"),  # not the first occurrence, which would cross
        ("Acme", "Acme", "Acme", "<e1><e2>Acme</e2></e1>"),
        ("中国银行在中国", "中国", "中国银行", "<e2>中国银行</e2>在<e1>中国</e1>"),
    ],
)
def test_entities_are_marked_where_they_occur(text: str, head: str, tail: str, marked: str) -> None:
    assert mark_entities(text, head, tail) == marked
    assert find_error(marked) is None
    assert remove_markers(marked) == text


@pytest.mark.parametrize("head, tail", [("Ann", "Bob"), ("Bob", "Ann"), ("", "Bob"), ("Bob", "")])
def test_entity_that_does_not_occur_is_not_marked(head: str, tail: str) -> None:
    assert mark_entities("Bob was here", head, tail) is None


@pytest.mark.parametrize("text", ["\u200b\u200b", "aaa"])
def test_texts_of_at_most_one_word_are_marked(text: str) -> None:
    marked = mark_entities(text, text[0], text[0])
    assert marked is not None
    assert remove_markers(marked) == text
    assert re.findall("|".join(MARKERS), marked) == ["<e1>", "</e1>", "<e2>", "</e2>"]


@given(st.text("ab 中", min_size=1, max_size=12), st.data())
def test_marked_entities_equal_the_given_ones(text: str, data: st.DataObject) -> None:
    spans = st.tuples(st.integers(0, len(text) - 1), st.integers(1, len(text)))
    (a, n), (b, m) = data.draw(spans), data.draw(spans)
    head, tail = text[a : a + n], text[b : b + m]
    marked = mark_entities(text, head, tail)
    assert marked is not None
    assert remove_markers(marked) == text
    for number, entity in ((1, head), (2, tail)):
        result = re.search(f"<e{number}>(.*)</e{number}>", marked)
        assert result is not None
        assert remove_markers(result.group(1)) == entity
    if not re.search("<e1>[^/]*<e2>.*</e1>.*</e2>|<e2>[^/]*<e1>.*</e2>.*</e1>", marked):
        return
    # The markers cross. One entity could be nested in the other only at a place that is no whole word.
    assert not (head in tail or tail in head) or is_whole_word(text, head) or is_whole_word(text, tail)


def is_whole_word(text: str, part: str) -> bool:
    """Whether the part begins and ends at word boundaries somewhere in the text."""
    starts, ends = ({edge[side] for edge in split_words(text)} for side in (0, 1))
    return any(
        text.startswith(part, start) and start + len(part) in ends for start in starts if start < len(text)
    )


@pytest.mark.parametrize(
    "text",
    [
        "<e1>a</e1> and <e2>b</e2>",
        "<e2>b</e2> and <e1>a</e1>",
        "<e1><e2>a</e2></e1>",
        "<e1>a <e2>b</e1> c</e2>",
        "<e1>a\nb</e1>\n<e2>c</e2>",
    ],
)
def test_marked_texts_have_no_error(text: str) -> None:
    assert find_error(text) is None


@pytest.mark.parametrize(
    "text, what",
    [
        ("", "has no <e1>...</e1>"),
        ("<e1>a</e1>", "has no <e2>...</e2>"),
        ("<e2>a</e2>", "has no <e1>...</e1>"),
        ("<e1>a <e2>b</e2>", "opens <e1> once and closes it 0 times"),
        ("<e1>a</e1></e1> <e2>b</e2>", "opens <e1> once and closes it 2 times"),
        ("<e1>a</e1> <e2>b</e2> <e2>c</e2>", "opens <e2> 2 times and closes it 2 times"),
        ("</e1>a<e1> <e2>b</e2>", "opens <e1> once and closes it once, but closes it before it opens it"),
        ("<e1> </e1> <e2>b</e2>", "has nothing between <e1> and </e1>"),
        ("<e1>a<e2></e2></e1>", "has nothing between <e2> and </e2>"),
        ("<E1>a</E1> <e2>b</e2>", "has no <e1>...</e1>"),
    ],
)
def test_errors_are_described(text: str, what: str) -> None:
    assert find_error(text) == what
