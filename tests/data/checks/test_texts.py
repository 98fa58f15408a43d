"""Tests of the checks of text columns."""

from llmkit.data.checks.texts import check_texts
from llmkit.recipe.schema import Data

GOOD = [("a fine film", "pos"), ("a dull film", "neg")]


def lines(problems):
    return [str(problem) for problem in problems]


def test_good_texts_have_no_problem(make):
    corpus = make(train=GOOD)
    assert check_texts(corpus, "text", Data()) == (corpus, [], [])


def test_texts_that_are_null_are_named_row_by_row(make):
    corpus = make(train=[*GOOD, (None, "pos")], test=[(None, "neg"), *GOOD])
    assert lines(check_texts(corpus, "text", Data())[1]) == [
        'error[L02] train.jsonl:3: "text" is null. Fix: write a text there',
        'error[L02] test.jsonl:1: "text" is null. Fix: write a text there',
    ]


def test_texts_that_are_numbers_are_shown_up_to_a_limit(make):
    corpus = make(train=[(i, "pos") for i in range(30)])
    problems = lines(check_texts(corpus, "text", Data())[1])
    assert len(problems) == 21
    assert problems[7] == 'error[L02] train.jsonl:8: "text" is 7, not a string. Fix: write a text there'
    assert (
        problems[20]
        == 'error[L02] train.jsonl:21: 10 rows more whose "text" is not a text. Fix: write a text there'
    )


def test_blank_texts_are_one_problem_a_part(make):
    corpus = make(
        train=[*GOOD, ("", "pos"), (" \n\u3000", "neg"), ("\u200b\ufeff", "neg")], test=[*GOOD, ("", "pos")]
    )
    assert lines(check_texts(corpus, "text", Data())[1]) == [
        'error[L03] train.jsonl:3: 3 rows with an empty or blank "text", also at train.jsonl:4, train.jsonl:5.'
        " Fix: fill in a text, or set data.empty_text=drop",
        'error[L03] test.jsonl:3: 1 row with an empty or blank "text".'
        " Fix: fill in a text, or set data.empty_text=drop",
    ]


def test_blank_texts_are_dropped_and_counted_when_asked(make):
    corpus = make(train=[("", "pos"), *GOOD], test=GOOD)
    left, problems, notes = check_texts(corpus, "text", Data(empty_text="drop"))
    assert problems == []
    assert notes == ['train: 1 row dropped (empty or blank "text")']
    assert [left.splits["train"].place(i) for i in range(2)] == ["train.jsonl:2", "train.jsonl:3"]
    assert left.fingerprint != corpus.fingerprint


def test_blank_texts_only_are_a_problem_even_when_they_may_be_dropped(make):
    corpus = make(train=GOOD, test=[("", "pos"), (" ", "neg")])
    assert lines(check_texts(corpus, "text", Data(empty_text="drop"))[1])[0].startswith(
        "error[L03] test.jsonl:1: 2 rows"
    )


PAIRS = [{"text": "a", "text_pair": "b"}, {"text": " ", "text_pair": "c"}, {"text": "d", "text_pair": ""}]


def test_faults_of_all_texts_are_told(corpus_of):
    corpus = corpus_of(["text", "text_pair"], train=PAIRS)
    _, problems, _ = check_texts(corpus, ("text", "text_pair"), Data())
    assert [line.split(". Fix")[0] for line in lines(problems)] == [
        'error[L03] train.jsonl:2: 1 row with an empty or blank "text"',
        'error[L03] train.jsonl:3: 1 row with an empty or blank "text_pair"',
    ]


def test_a_pair_goes_when_either_text_is_blank(corpus_of):
    corpus = corpus_of(["text", "text_pair"], train=PAIRS)
    left, problems, notes = check_texts(corpus, ("text", "text_pair"), Data(empty_text="drop"))
    assert problems == []
    assert notes == [
        'train: 1 row dropped (empty or blank "text")',
        'train: 1 row dropped (empty or blank "text_pair")',
    ]
    assert left.splits["train"].column("text") == ["a"]
