"""Tests of entities given as character spans."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.data.checks.entity_spans import find_span_errors, tag_words
from llmkit.text import tags
from llmkit.text.words import split_words


def entity(start, end, label="PER"):
    return {"start": start, "end": end, "label": label}


TEXT = "Pelé lives  in Rio, Brazil"


def test_words_get_the_tags_of_their_entities():
    result = tag_words(TEXT, [entity(15, 26, "LOC"), entity(0, 4)])
    assert result.tokens == ["Pelé", "lives", "in", "Rio", ",", "Brazil"]
    assert result.tags == ["B-PER", "O", "O", "B-LOC", "I-LOC", "I-LOC"]
    assert result.offsets[3] == (15, 18)


def test_each_chinese_character_is_a_word():
    assert tag_words("他在北京。", [entity(2, 4, "LOC")]).tags == ["O", "O", "B-LOC", "I-LOC", "O"]


def test_adjacent_entities_of_one_type_stay_two_entities():
    assert tag_words("a b", [entity(0, 1), entity(2, 3)]).tags == ["B-PER", "B-PER"]


def test_valid_entities_have_no_errors():
    assert list(find_span_errors(TEXT, [entity(15, 18), entity(0, 4), entity(18, 19)])) == []
    assert list(find_span_errors(TEXT, [])) == []


@pytest.mark.parametrize(
    ("entities", "expected"),
    [
        (None, ("L04", '"entities" is null, not a list', "write [] if there are none")),
        ([entity(0, 4, " ")], ("L04", "entity 0-4 has no label", 'write {"start": 0, "end": 5, "label": "PER"}')),
        ([{"start": 0, "end": None, "label": "X"}],
         ("N05", "entity {'start': 0, 'end': None, 'label': 'X'} needs integers as start and end",
          'write {"start": 0, "end": 5, "label": "PER"}')),
        ([entity(4, 4)], ("N05", "entity 4-4 (PER) is empty", "write end as the position after its last character")),
        ([entity(20, 27)], ("N05", "entity 20-27 (PER) is outside the text of 26 characters", "correct start and end")),
        ([entity(-1, 4)], ("N05", "entity -1-4 (PER) is outside the text of 26 characters", "correct start and end")),
        ([entity(0, 4), entity(5, 10), entity(0, 10, "LOC")],
         ("N05", "entity 0-4 (PER) overlaps entity 0-10 (LOC)", "keep one of them")),
        ([entity(0, 4), entity(0, 4)], ("N05", "entity 0-4 (PER) overlaps entity 0-4 (PER)", "keep one of them")),
        ([entity(0, 5)], ("N06", "entity 0-5 (PER) ends with white space", "write 0-4")),
        ([entity(4, 12)], ("N06", "entity 4-12 (PER) starts with white space", "write 5-10")),
        ([entity(10, 12)], ("N06", "entity 10-12 (PER) starts with white space", "remove it")),
        ([entity(16, 18)],
         ("N06", 'entity 16-18 (PER) starts inside the word "Rio"', "move it to an edge of the word (15-18)")),
        ([entity(0, 3)],
         ("N06", 'entity 0-3 (PER) ends inside the word "Pelé"', "move it to an edge of the word (0-4)")),
    ],
)  # fmt: skip
def test_errors_have_a_fix(entities, expected):
    assert next(find_span_errors(TEXT, entities)) == expected


def test_an_overlap_of_one_character_is_an_error():
    assert [code for code, *_ in find_span_errors("北京大学", [entity(0, 2), entity(1, 4)])] == ["N05"]


def test_an_entity_of_invisible_characters_contains_no_word():
    assert list(find_span_errors("a \u200b b", [entity(2, 3)])) == [
        ("N06", "entity 2-3 (PER) contains no word", "remove it")
    ]


@given(
    st.text("ab .Ü北", max_size=12), st.lists(st.tuples(st.integers(-1, 13), st.integers(-1, 13)), max_size=3)
)
def test_valid_entities_survive_the_conversion_to_tags(text, offsets):
    entities = [entity(*place) for place in offsets]
    if list(find_span_errors(text, entities)):
        return
    result = tag_words(text, entities)
    spans = [
        (result.offsets[s.start][0], result.offsets[s.end - 1][1]) for s in tags.tags_to_spans(result.tags)
    ]
    assert spans == sorted(offsets)
    assert result.offsets == split_words(text)
