import json

import pytest

from llmkit.base.errors import DataError
from llmkit.data.reading.file_errors import FileErrors
from llmkit.data.reading.json_rows import parse_json_document
from llmkit.data.reading.squad_rows import is_article

QUESTION = {"id": "q1", "question": "Who?", "answers": [{"text": "Pelé", "answer_start": 0}]}
NONE = {
    "id": "q2", "question": 'A "question": how?', "answers": [], "is_impossible": True,
    "plausible_answers": [{"text": "Pelé", "answer_start": 0}],
}  # fmt: skip
CONTEXT = "Pelé joined in 1956."
ARTICLE = {"title": "Pelé", "paragraphs": [{"context": CONTEXT, "qas": [QUESTION, NONE]}]}
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
def test_an_article_is_a_row_a_question(ascii_only):
    text = json.dumps({"version": "v2.0", "data": [ARTICLE]}, ensure_ascii=ascii_only)
    assert document(text) == [(1, ROWS[0]), (1, ROWS[1])]


def test_the_line_is_that_of_the_question():
    text = json.dumps({"data": [ARTICLE, ARTICLE]}, indent=1, ensure_ascii=False)
    lines = [n for n, line in enumerate(text.split("\n"), 1) if '"question": ' in line and "how?" not in line]
    lines += [n for n, line in enumerate(text.split("\n"), 1) if "how?" in line]
    assert [line for line, _ in document(text)] == sorted(lines)
    assert [row for _, row in document(text)] == ROWS * 2


def test_a_question_without_that_key_is_at_its_articles_line():
    text = json.dumps(
        {"data": [ARTICLE | {"paragraphs": [{"context": "c", "qas": [QUESTION, {"id": 3}]}]}]}, indent=1
    )
    assert [(line, row["question"]) for line, row in document(text)] == [(3, "Who?"), (3, None)]


def test_a_list_of_articles_will_do():
    assert [row for _, row in document(json.dumps([ARTICLE]))] == ROWS


def test_the_title_may_stand_in_the_paragraph():
    text = json.dumps({"data": [{"paragraphs": [{"title": "鸟", "context": "c", "qas": [QUESTION]}]}]})
    assert [row["title"] for _, row in document(text)] == ["鸟"]


def test_what_is_missing_is_null_or_none():
    assert document(with_questions({"question": "x"}))[0][1] == {
        "id": None, "title": "t", "question": "x", "context": "c",
        "answers": {"text": [], "answer_start": []}, "is_impossible": False,
    }  # fmt: skip
    answers = document(with_questions({"question": "x", "answers": [{"text": "c"}]}))[0][1]["answers"]
    assert answers == {"text": ["c"], "answer_start": [None]}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (with_questions(3), '"qas" is no list of objects'),
        (
            with_questions({"id": "q7", "answers": {"text": ["x"]}}),
            '"answers" is no list of objects (question "q7")',
        ),
        (with_questions({"id": 7, "answers": ["x"]}), '"answers" is no list of objects (question "7")'),
        (json.dumps({"data": [{"paragraphs": [{"qas": []}, "x"]}]}), '"paragraphs" is no list of objects'),
        (
            json.dumps({"data": [{"paragraphs": [{"qas": []}, {"context": "x"}]}]}),
            '"qas" is no list of objects',
        ),
    ],
)
def test_what_is_no_squad_is_j03(text, line):
    with pytest.raises(DataError) as caught:
        document(text)
    assert caught.value.lines() == [f"error[J03] a.json:1: {line}. Fix: write it as SQuAD does"]


def test_other_rows_with_paragraphs_stay_as_they_are():
    rows = [{"paragraphs": ["a", "b"]}, {"paragraphs": [{"text": "a"}]}, {"paragraphs": 3}]
    assert not any(map(is_article, rows))
    assert [row for _, row in document(json.dumps({"data": rows}))] == rows


def test_an_article_without_paragraphs_has_no_rows():
    assert document(json.dumps({"data": [{"title": "x", "paragraphs": []}, ARTICLE]})) == [
        (1, ROWS[0]),
        (1, ROWS[1]),
    ]


def test_faults_of_json_inside_articles_are_told():
    text = '{"data": [{"paragraphs": [{"context": "c", "context": "d",\n "qas": [{"question": NaN}]}]}]}'
    with pytest.raises(DataError) as caught:
        document(text)
    assert {problem.code for problem in caught.value.details} == {"J04", "J05"}
