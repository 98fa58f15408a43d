import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.data.checks.entity_spans import find_span_errors, tag_words
from llmkit.text import tags
from llmkit.text.words import split_words


def entity(start, end, label="PER"):
    return {"start": start, "end": end, "label": label}


TEXT = "Pelé lives  in Rio, Brazil"


def test_words_get_the_tags_of_the_entities_over_them():
    found = tag_words(TEXT, [entity(15, 26, "LOC"), entity(0, 4)])
    assert found.tokens == ["Pelé", "lives", "in", "Rio", ",", "Brazil"]
    assert found.tags == ["B-PER", "O", "O", "B-LOC", "I-LOC", "I-LOC"]
    assert found.offsets[3] == (15, 18)


def test_chinese_characters_are_words():
    assert tag_words("他在北京。", [entity(2, 4, "LOC")]).tags == ["O", "O", "B-LOC", "I-LOC", "O"]


def test_neighbours_of_one_type_are_two_entities():
    assert tag_words("a b", [entity(0, 1), entity(2, 3)]).tags == ["B-PER", "B-PER"]


def test_good_entities_have_no_faults():
    assert list(find_span_errors(TEXT, [entity(15, 18), entity(0, 4), entity(18, 19)])) == []
    assert list(find_span_errors(TEXT, [])) == []


@pytest.mark.parametrize(
    ("entities", "expected"),
    [
        (None, ("L04", '"entities" is null, not a list', "write [] where there are none")),
        ([entity(0, 4, " ")], ("L04", "entity 0-4 has no label", 'write {"start": 0, "end": 5, "label": "PER"}')),
        ([{"start": 0, "end": None, "label": "X"}],
         ("N05", "entity {'start': 0, 'end': None, 'label': 'X'} has no whole numbers as start and end",
          'write {"start": 0, "end": 5, "label": "PER"}')),
        ([entity(4, 4)], ("N05", "entity 4-4 (PER) is empty", "write end as the place after its last character")),
        ([entity(20, 27)], ("N05", "entity 20-27 (PER) leaves the text of 26 characters", "correct start and end")),
        ([entity(-1, 4)], ("N05", "entity -1-4 (PER) leaves the text of 26 characters", "correct start and end")),
        ([entity(0, 4), entity(5, 10), entity(0, 10, "LOC")],
         ("N05", "entity 0-4 (PER) overlaps entity 0-10 (LOC)", "keep one of them")),
        ([entity(0, 4), entity(0, 4)], ("N05", "entity 0-4 (PER) overlaps entity 0-4 (PER)", "keep one of them")),
        ([entity(0, 5)], ("N06", "entity 0-5 (PER) ends in white space", "write 0-4")),
        ([entity(4, 12)], ("N06", "entity 4-12 (PER) begins in white space", "write 5-10")),
        ([entity(10, 12)], ("N06", "entity 10-12 (PER) begins in white space", "remove it")),
        ([entity(16, 18)],
         ("N06", 'entity 16-18 (PER) begins inside the word "Rio"', "move it to an edge of the word (15-18)")),
        ([entity(0, 3)],
         ("N06", 'entity 0-3 (PER) ends inside the word "Pelé"', "move it to an edge of the word (0-4)")),
    ],
)  # fmt: skip
def test_faults_are_named_with_their_fix(entities, expected):
    assert next(find_span_errors(TEXT, entities)) == expected


def test_an_overlap_of_one_character_is_one():
    assert [code for code, *_ in find_span_errors("北京大学", [entity(0, 2), entity(1, 4)])] == ["N05"]


def test_an_entity_of_invisible_characters_holds_no_word():
    assert list(find_span_errors("a \u200b b", [entity(2, 3)])) == [
        ("N06", "entity 2-3 (PER) holds no word", "remove it")
    ]


@given(
    st.text("ab .Ü北", max_size=12), st.lists(st.tuples(st.integers(-1, 13), st.integers(-1, 13)), max_size=3)
)
def test_entities_without_faults_come_back_as_they_were(text, places):
    entities = [entity(*place) for place in places]
    if list(find_span_errors(text, entities)):
        return
    found = tag_words(text, entities)
    back = [(found.offsets[s.start][0], found.offsets[s.end - 1][1]) for s in tags.tags_to_spans(found.tags)]
    assert back == sorted(places)
    assert found.offsets == split_words(text)
