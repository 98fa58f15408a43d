"""Tests of the checks of text columns."""

from llmkit.data.checks.texts import check_texts
from llmkit.recipe.schema import Data

GOOD = [("a fine film", "pos"), ("a dull film", "neg")]


def lines(errors):
    return [str(error) for error in errors]


def test_valid_texts_have_no_errors(make):
    corpus = make(train=GOOD)
    assert check_texts(corpus, "text", Data()) == (corpus, [], [])


def test_null_texts_are_reported_row_by_row(make):
    corpus = make(train=[*GOOD, (None, "pos")], test=[(None, "neg"), *GOOD])
    assert lines(check_texts(corpus, "text", Data())[1]) == [
        'error[L02] train.jsonl:3: "text" is null. Fix: write a text there',
        'error[L02] test.jsonl:1: "text" is null. Fix: write a text there',
    ]


def test_numbers_as_texts_are_reported_up_to_a_limit(make):
    corpus = make(train=[(i, "pos") for i in range(30)])
    errors = lines(check_texts(corpus, "text", Data())[1])
    assert len(errors) == 21
    assert errors[7] == 'error[L02] train.jsonl:8: "text" is 7, not a string. Fix: write a text there'
    assert (
        errors[20]
        == 'error[L02] train.jsonl:21: 10 rows more whose "text" is not a text. Fix: write a text there'
    )


def test_blank_texts_are_one_error_per_split(make):
    corpus = make(
        train=[*GOOD, ("", "pos"), (" \n\u3000", "neg"), ("\u200b\ufeff", "neg")], test=[*GOOD, ("", "pos")]
    )
    assert lines(check_texts(corpus, "text", Data())[1]) == [
        'error[L03] train.jsonl:3: 3 rows with an empty or blank "text", also at train.jsonl:4, train.jsonl:5.'
        " Fix: fill in a text, or set data.empty_text=drop",
        'error[L03] test.jsonl:3: 1 row with an empty or blank "text".'
        " Fix: fill in a text, or set data.empty_text=drop",
    ]


def test_blank_texts_can_be_dropped_and_are_counted(make):
    corpus = make(train=[("", "pos"), *GOOD], test=GOOD)
    left, errors, notes = check_texts(corpus, "text", Data(empty_text="drop"))
    assert errors == []
    assert notes == ['train: 1 row dropped (empty or blank "text")']
    assert [left.splits["train"].place(i) for i in range(2)] == ["train.jsonl:2", "train.jsonl:3"]
    assert left.fingerprint != corpus.fingerprint


def test_a_split_of_blank_texts_is_an_error_even_with_drop(make):
    corpus = make(train=GOOD, test=[("", "pos"), (" ", "neg")])
    assert lines(check_texts(corpus, "text", Data(empty_text="drop"))[1])[0].startswith(
        "error[L03] test.jsonl:1: 2 rows"
    )


PAIRS = [{"text": "a", "text_pair": "b"}, {"text": " ", "text_pair": "c"}, {"text": "d", "text_pair": ""}]


def test_errors_of_all_columns_are_reported(corpus_of):
    corpus = corpus_of(["text", "text_pair"], train=PAIRS)
    _, errors, _ = check_texts(corpus, ("text", "text_pair"), Data())
    assert [line.split(". Fix")[0] for line in lines(errors)] == [
        'error[L03] train.jsonl:2: 1 row with an empty or blank "text"',
        'error[L03] train.jsonl:3: 1 row with an empty or blank "text_pair"',
    ]


def test_a_pair_is_dropped_when_either_text_is_blank(corpus_of):
    corpus = corpus_of(["text", "text_pair"], train=PAIRS)
    left, errors, notes = check_texts(corpus, ("text", "text_pair"), Data(empty_text="drop"))
    assert errors == []
    assert notes == [
        'train: 1 row dropped (empty or blank "text")',
        'train: 1 row dropped (empty or blank "text_pair")',
    ]
    assert left.splits["train"].column("text") == ["a"]
