import json

import pytest

from llmkit.base.errors import DataError
from llmkit.data.reading.file_errors import FileErrors
from llmkit.data.reading.json_rows import parse_json_document
from llmkit.data.reading.squad_rows import is_article

QUESTION = {"id": "q1", "question": "Who?", "answers": [{"text": "Pelé", "answer_start": 0}]}
UNANSWERABLE = {
    "id": "q2", "question": 'A "question": how?', "answers": [], "is_impossible": True,
    "plausible_answers": [{"text": "Pelé", "answer_start": 0}],
}  # fmt: skip
CONTEXT = "Pelé joined in 1956."
ARTICLE = {"title": "Pelé", "paragraphs": [{"context": CONTEXT, "qas": [QUESTION, UNANSWERABLE]}]}
ROWS = [
    {"id": "q1", "title": "Pelé", "question": "Who?", "context": CONTEXT,
     "answers": {"text": ["Pelé"], "answer_start": [0]}, "is_impossible": False},
    {"id": "q2", "title": "Pelé", "question": 'A "question": how?', "context": CONTEXT,
     "answers": {"text": [], "answer_start": []}, "is_impossible": True},
]  # fmt: skip


def document(text):
    errors = FileErrors("a.json")
    rows = list(parse_json_document(text, errors))
    errors.raise_if_any()
    return rows


def with_questions(*questions, **paragraph):
    return json.dumps(
        {"data": [{"title": "t", "paragraphs": [{"context": "c", "qas": [*questions]} | paragraph]}]}
    )


@pytest.mark.parametrize("ascii_only", [True, False])
def test_an_article_becomes_one_row_per_question(ascii_only):
    text = json.dumps({"version": "v2.0", "data": [ARTICLE]}, ensure_ascii=ascii_only)
    assert document(text) == [(1, ROWS[0]), (1, ROWS[1])]


def test_a_row_has_the_line_number_of_its_question():
    text = json.dumps({"data": [ARTICLE, ARTICLE]}, indent=1, ensure_ascii=False)
    lines = [n for n, line in enumerate(text.split("\n"), 1) if '"question": ' in line and "how?" not in line]
    lines += [n for n, line in enumerate(text.split("\n"), 1) if "how?" in line]
    assert [line for line, _ in document(text)] == sorted(lines)
    assert [row for _, row in document(text)] == ROWS * 2


def test_a_missing_question_key_places_all_rows_at_the_articles_line():
    text = json.dumps(
        {"data": [ARTICLE | {"paragraphs": [{"context": "c", "qas": [QUESTION, {"id": 3}]}]}]}, indent=1
    )
    assert [(line, row["question"]) for line, row in document(text)] == [(3, "Who?"), (3, None)]


def test_a_plain_list_of_articles_is_accepted():
    assert [row for _, row in document(json.dumps([ARTICLE]))] == ROWS


def test_the_title_may_be_in_the_paragraph():
    text = json.dumps({"data": [{"paragraphs": [{"title": "鸟", "context": "c", "qas": [QUESTION]}]}]})
    assert [row["title"] for _, row in document(text)] == ["鸟"]


def test_missing_values_are_null_or_empty():
    assert document(with_questions({"question": "x"}))[0][1] == {
        "id": None, "title": "t", "question": "x", "context": "c",
        "answers": {"text": [], "answer_start": []}, "is_impossible": False,
    }  # fmt: skip
    answers = document(with_questions({"question": "x", "answers": [{"text": "c"}]}))[0][1]["answers"]
    assert answers == {"text": ["c"], "answer_start": [None]}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (with_questions(3), '"qas" is not a list of objects'),
        (
            with_questions({"id": "q7", "answers": {"text": ["x"]}}),
            '"answers" of question "q7" is not a list of objects',
        ),
        (with_questions({"id": 7, "answers": ["x"]}), '"answers" of question "7" is not a list of objects'),
        (json.dumps({"data": [{"paragraphs": [{"qas": []}, "x"]}]}), '"paragraphs" is not a list of objects'),
        (
            json.dumps({"data": [{"paragraphs": [{"qas": []}, {"context": "x"}]}]}),
            '"qas" is not a list of objects',
        ),
    ],
)
def test_a_malformed_article_is_j03(text, line):
    with pytest.raises(DataError) as caught:
        document(text)
    assert caught.value.lines() == [f"error[J03] a.json:1: {line}. Fix: use the format of SQuAD"]


def test_rows_with_other_paragraphs_are_not_changed():
    rows = [{"paragraphs": ["a", "b"]}, {"paragraphs": [{"text": "a"}]}, {"paragraphs": 3}]
    assert not any(map(is_article, rows))
    assert [row for _, row in document(json.dumps({"data": rows}))] == rows


def test_an_article_without_paragraphs_has_no_rows():
    assert document(json.dumps({"data": [{"title": "x", "paragraphs": []}, ARTICLE]})) == [
        (1, ROWS[0]),
        (1, ROWS[1]),
    ]


def test_json_errors_inside_articles_are_reported():
    text = '{"data": [{"paragraphs": [{"context": "c", "context": "d",\n "qas": [{"question": NaN}]}]}]}'
    with pytest.raises(DataError) as caught:
        document(text)
    assert {detail.code for detail in caught.value.details} == {"J04", "J05"}
