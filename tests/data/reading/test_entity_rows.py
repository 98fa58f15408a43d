"""Tests of the forms of texts with entities."""

import pytest

from llmkit.base.errors import DataError
from llmkit.data.reading.entity_rows import find_entity_form
from llmkit.data.reading.file_errors import FileErrors

TEXT = "Anna slept in Rio"
WANTED = [{"start": 0, "end": 4, "label": "PER"}, {"start": 14, "end": 17, "label": "LOC"}]
WITH_TEXT = [{**WANTED[0], "text": "Anna"}, {**WANTED[1], "text": "Rio"}]
TUPLES = [[0, 4, "PER"], [14, 17, "LOC"]]


def read(row, named=None, spans=None):
    """Return (text, entities) as the task reads them."""
    form = find_entity_form([row], named or {}, spans=spans)
    assert form is not None
    errors = FileErrors("a.jsonl")
    converted = form.convert(row, 1, errors)
    errors.raise_if_any()
    return converted[form.columns["text"]], converted[form.columns["entities"]]


FORMS = {
    "llmkit": ({"text": TEXT, "entities": WANTED}, WANTED),
    "llmkit with texts": ({"text": TEXT, "entities": WITH_TEXT}, WITH_TEXT),
    "doccano": ({"id": 1, "text": TEXT, "label": TUPLES, "Comments": []}, WANTED),
    "doccano labels": ({"text": TEXT, "labels": TUPLES}, WANTED),
    "doccano with relations": (
        {"text": TEXT, "relations": [], "entities": [
            {"id": 1, "label": "PER", "start_offset": 0, "end_offset": 4},
            {"id": 2, "label": "LOC", "start_offset": 14, "end_offset": 17}]},
        WANTED,
    ),
    "spaCy": ({"text": TEXT, "entities": TUPLES}, WANTED),
    "spaCy in a dictionary": ({"text": TEXT, "label": {"entities": TUPLES}}, WANTED),
    "Prodigy": (
        {"text": TEXT, "spans": [{**span, "token_start": 0, "token_end": 0} for span in WANTED],
         "tokens": [{"text": "Anna", "start": 0, "end": 4, "id": 0}], "answer": "accept"},
        WANTED,
    ),
    "Label Studio JSON-MIN": (
        {"text": TEXT, "id": 7, "annotator": 1, "label": [
            {"start": 0, "end": 4, "text": "Anna", "labels": ["PER"]},
            {"start": 14, "end": 17, "text": "Rio", "labels": ["LOC"]}]},
        WITH_TEXT,
    ),
    "Label Studio JSON": (
        {"id": 7, "data": {"text": TEXT}, "annotations": [{"was_cancelled": False, "result": [
            {"type": "labels", "value": {"start": 0, "end": 4, "text": "Anna", "labels": ["PER"]}},
            {"type": "labels", "value": {"start": 14, "end": 17, "text": "Rio", "labels": ["LOC"]}},
            {"type": "relation", "from_id": "a", "to_id": "b"}]}]},
        WITH_TEXT,
    ),
    "Label Studio CSV": (
        {"text": TEXT, "label": '[{"start": 0, "end": 4, "labels": ["PER"]},'
                                ' {"start": "14", "end": 17.0, "labels": ["LOC"]}]'},
        WANTED,
    ),
    "Python in a CSV file": ({"text": TEXT, "entities": "[(0, 4, 'PER'), (14, 17, 'LOC')]"}, WANTED),
    "the label first": ({"text": TEXT, "entities": [["PER", 0, 4], ["LOC", 14, 17]]}, WANTED),
    "a struct of lists": (
        {"text": TEXT, "entities": {"start": [0, 14], "end": [4, 17], "label": ["PER", "LOC"]}},
        WANTED,
    ),
    "CLUENER": (
        {"text": TEXT, "label": {"PER": {"Anna": [[0, 3]]}, "LOC": {"Rio": [[14, 16]]}}},
        [{"start": 0, "end": 3, "label": "PER", "text": "Anna"},
         {"start": 14, "end": 16, "label": "LOC", "text": "Rio"}],
    ),
    "output of a pipeline": (
        {"text": TEXT, "entities": [{"entity_group": "PER", "word": "anna", "start": 0, "end": 4},
                                    {"entity_group": "LOC", "word": "rio", "start": 14, "end": 17}]},
        WANTED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_recognized_from_the_rows_and_read(form):
    row, entities = FORMS[form]
    assert read(row) == (TEXT, entities)


@pytest.mark.parametrize("form", [name for name in FORMS if name != "Label Studio JSON"])
def test_every_form_is_read_when_the_recipe_says_spans_and_names_the_column(form):
    row, entities = FORMS[form]
    column = next(name for name in ("entities", "spans", "label", "labels") if name in row)
    assert read(row, {"entities": column}, spans=True) == (TEXT, entities)


@pytest.mark.parametrize(
    "row",
    [
        {"tokens": ["Anna"], "tags": ["B-PER"], "text": "Anna", "entities": [[0, 4, "PER"]]},
        {"tokens": "Anna", "tags": "B-PER", "text": "Anna", "spans": []},
    ],
)
def test_rows_with_tokens_are_tokens_with_tags(row):
    form = find_entity_form([row], {})
    assert form is not None
    assert (form.columns, form.convert, form.note) == ({"tokens": "tokens", "tags": "tags"}, None, "")


def test_the_columns_that_the_recipe_names_decide():
    row = {"tokens": ["Anna"], "ner": ["B-PER"], "text": "Anna", "marked": [[0, 4, "PER"]]}
    assert find_entity_form([row], {"tags": "ner"}).columns == {"tokens": "tokens", "tags": "ner"}
    assert read(row, {"entities": "marked"}) == ("Anna", [{"start": 0, "end": 4, "label": "PER"}])


def test_a_key_of_the_recipe_wins_over_the_rows():
    row = {"text": "Anna", "entities": [[0, 4, "PER"]]}
    assert find_entity_form([row], {}, spans=False) is None
    assert find_entity_form([{"tokens": ["a"]}], {}, spans=True).columns == {
        "text": "text",
        "entities": "entities",
    }


@pytest.mark.parametrize(
    "row",
    [
        {"text": "Anna", "label": "PER"},
        {"text": "Anna", "labels": ["PER", "LOC"]},
        {"text": "Anna", "label": [[1, 2], [3, 4]]},
        {"text": "Anna", "label": {"a": 1}},
        {"text": "Anna", "label": "[not a list"},
        {"sentence": 3, "entities": [[0, 4, "PER"]]},
    ],
)
def test_other_rows_have_no_form(row):
    assert find_entity_form([row], {}) is None


def test_the_note_names_the_columns():
    form = find_entity_form([{"text": "a", "label": []}, {"text": "Anna", "label": [[0, 4, "PER"]]}], {})
    assert form is not None
    assert form.note == 'texts with entities as character spans (columns "text" and "label")'


def test_texts_without_entities_are_recognized_by_the_usual_names():
    assert read({"text": "Hm", "entities": []}) == ("Hm", [])
    assert read({"text": "Hm", "spans": []}) == ("Hm", [])


def test_label_studio_leaves_out_the_column_where_nothing_is_marked():
    sample = [{"text": "Anna", "label": [{"start": 0, "end": 4, "labels": ["PER"]}], "annotator": 1}]
    form = find_entity_form(sample, {})
    assert form.convert({"text": "Hm", "annotator": 1}, 2, FileErrors("a"))["label"] == []
    assert "label" not in form.convert({"text": "Hm"}, 2, FileErrors("a"))


def test_a_cancelled_or_missing_annotation_of_label_studio_skips_the_task():
    form = find_entity_form([FORMS["Label Studio JSON"][0]], {})
    for annotations in ([], [{"was_cancelled": True, "result": []}]):
        assert form.convert({"data": {"text": "a"}, "annotations": annotations}, 1, FileErrors("a")) is None


def error_lines(row):
    with pytest.raises(DataError) as caught:
        read(row)
    return caught.value.lines()


def test_entities_that_cannot_be_read_are_errors_at_their_line():
    good = [0, 4, "PER"]
    assert error_lines({"text": TEXT, "label": [good, ["Anna", "PER"]]}) == [
        "error[N05] a.jsonl:1: entity ['Anna', 'PER'] needs integers as start and end."
        ' Fix: write {"start": 0, "end": 5, "label": "PER"}'
    ]
    assert error_lines({"text": TEXT, "label": [{"start": 0, "end": 4, "labels": ["PER", "ORG"]}]}) == [
        "error[L04] a.jsonl:1: entity 0-4 has 2 labels (PER, ORG)."
        " Fix: keep one of them, because each word has one tag"
    ]


def test_annotations_of_label_studio_that_differ_are_an_error():
    row = dict(FORMS["Label Studio JSON"][0])
    row["annotations"] = [*row["annotations"], {"result": []}]
    assert error_lines(row) == [
        "error[N05] a.jsonl:1: the task has 2 annotations that differ."
        " Fix: keep one annotation of each task in the export"
    ]


def test_an_empty_field_holds_no_entities():
    form = find_entity_form([{"text": "Anna", "label": '[{"start": 0, "end": 4, "labels": ["PER"]}]'}], {})
    assert form.convert({"text": "Hm", "label": ""}, 2, FileErrors("a"))["label"] == []
