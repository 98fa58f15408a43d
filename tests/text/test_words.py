import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.text.words import join_words, split_words


def split(text):
    return [text[start:end] for start, end in split_words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pelé joined in 1956.", ["Pelé", "joined", "in", "1956", "."]),
        ("don't e-mail a_b", ["don", "'", "t", "e", "-", "mail", "a_b"]),
        ("他在2005年加入IBM公司。", [*"他在", "2005", *"年加入", "IBM", *"公司。"]),
        ("東京タワー 서울", [*"東京タワー", *"서울"]),
        ("𠀀𠀁a", ["𠀀", "𠀁", "a"]),
        ("(U.S.)", ["(", "U", ".", "S", ".", ")"]),
        ("a\u3000b\u00a0c\u2028d", ["a", "b", "c", "d"]),
        ("cafe\u0301s", ["cafe\u0301s"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("co\u00adoperate\u200d.", ["co\u00adoperate", "."]),
        ("\ufeffa\u200bb\x00c", ["a", "b", "c"]),
        ("か\u3099き", ["か\u3099", "き"]),
        ("❤\ufe0f👍🏽", ["❤\ufe0f", "👍", "🏽"]),
        ("\u0301", ["\u0301"]),
        ("", []),
        (" \n", []),
    ],
)
def test_words_of_many_scripts(text, expected):
    assert split(text) == expected


@given(st.text())
def test_words_are_in_order_and_contain_all_visible_characters(text):
    result = split_words(text)
    assert all(start < end for start, end in result)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(result))
    inside = {place for start, end in result for place in range(start, end)}
    left_out = [character for place, character in enumerate(text) if place not in inside]
    assert not any(character.isprintable() and not character.isspace() for character in left_out)


@pytest.mark.parametrize(
    ("given_words", "text"),
    [
        (["EU", "rejects", "call", "."], "EU rejects call ."),
        (list("2005年至今"), "2005年至今"),
        (["他", "在", "IBM", "公", "司", "。"], "他在IBM公司。"),
        (["in", "2005", "he", "x"], "in 2005 he x"),
        (["서울", "에"], "서울 에"),
        (list("ab"), "a b"),
        (["x"], "x"),
        ([], ""),
    ],
)
def test_words_are_joined_with_spaces_where_the_script_uses_them(given_words, text):
    made, offsets = join_words(given_words)
    assert made == text
    assert [made[start:end] for start, end in offsets] == given_words


@given(st.lists(st.text(min_size=1, max_size=4)))
def test_offsets_point_to_each_word(given_words):
    made, offsets = join_words(given_words)
    assert [made[start:end] for start, end in offsets] == given_words
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(offsets))
