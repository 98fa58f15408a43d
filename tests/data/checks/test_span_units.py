"""Tests of the unit that offsets count."""

import pytest

from llmkit.data.checks.span_units import BYTES, INCLUSIVE, UTF16, check_unit, is_same_text

ENGLISH = ("😀🚀 Pelé met Zoë in Rio", ["Pelé", "Zoë", "Rio"])
CHINESE = ("😀王小明在北京", ["王小明", "北京"])


def written(text, names, unit=None, own=True):
    """Return the entities of a text with offsets in this unit."""
    entities = []
    for name in names:
        start = text.index(name)
        end = start + len(name)
        if unit is INCLUSIVE:
            end -= 1
        elif unit is not None:
            start, end = (len(text[:place].encode(unit.encoding)) // unit.size for place in (start, end))
        entities.append({"start": start, "end": end, "label": "X", **({"text": name} if own else {})})
    return entities


@pytest.mark.parametrize("text, names", [ENGLISH, CHINESE])
@pytest.mark.parametrize("unit", [UTF16, BYTES, INCLUSIVE])
def test_the_unit_is_found_by_the_entities_own_texts(text, names, unit):
    rows = [(text, written(text, names, unit)), ("No one.", [])]
    found = check_unit(rows)
    assert (found.unit, found.fitting, found.total) == (unit, len(names), len(names))
    assert found.convert(*rows[0]) == written(text, names)


@pytest.mark.parametrize("unit", [UTF16, BYTES])
def test_without_own_texts_it_is_found_by_the_edges_of_words(unit):
    text, names = ENGLISH
    rows = [(text, written(text, names, unit, own=False))]
    found = check_unit(rows)
    assert found.unit is unit
    assert found.convert(*rows[0]) == written(text, names, own=False)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("text, names", [ENGLISH, CHINESE])
def test_characters_stay_as_they_are(text, names, own):
    found = check_unit([(text, written(text, names, own=own))])
    assert (found.unit, found.fitting, found.ambiguous) == (None, len(names), 0)


def test_an_entity_that_fits_no_unit_is_counted():
    text, names = ENGLISH
    wrong = {"start": 1, "end": 3, "label": "X", "text": "Rio"}
    found = check_unit([("Rio", []), (text, written(text, names, UTF16)), (text, [wrong])])
    assert (found.unit, found.fitting, found.total, found.in_characters, found.misfit) == (UTF16, 3, 4, 0, 2)


def test_one_wrong_span_among_right_ones_is_no_other_unit():
    text, names = ENGLISH
    wrong = {"start": 4, "end": 8, "label": "X"}
    assert check_unit([(text, [*written(text, names), wrong])]).unit is None
    assert check_unit([("Anna slept", [{"start": 0, "end": 3, "label": "X"}])]).unit is None


def test_chinese_spans_that_fit_two_units_are_counted():
    text, names = "😀王小明在北京的家", ["北京"]
    assert check_unit([(text, written(text, names, own=False))]).ambiguous == 1
    assert check_unit([(text, written(text, names))]).ambiguous == 0
    assert check_unit([("王小明在北京", written("王小明在北京", ["北京"], own=False))]).ambiguous == 0


def test_values_that_are_no_spans_are_ignored():
    assert check_unit([("a", None), ("a", ["x", {"start": "0", "end": 1}])]).total == 0


@pytest.mark.parametrize("start, end", [(-1, 2), (2, 2), (0, 99), (1, 3)])
def test_spans_outside_the_text_or_inside_a_character_convert_to_none(start, end):
    assert UTF16.to_characters("😀 a", start, end) is None


def test_only_white_space_may_differ_in_an_own_text():
    assert is_same_text("New\nYork ", "New York")
    assert not is_same_text("New York", "new york")


def test_a_shifted_entity_among_right_ones_is_no_inclusive_end():
    text = "Anna met Bob"
    entities = [
        {"start": 0, "end": 4, "label": "X", "text": "Anna"},
        {"start": 8, "end": 11, "label": "X", "text": "Bob"},
    ]
    assert check_unit([(text, entities)]).unit is None
