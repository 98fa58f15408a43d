"""Tests of the check of texts with two marked entities."""

import pytest

from llmkit.data.checks.marked_entities import check_marked_entities


def named(count):
    """Rows with their entities in columns, three for each sentence."""
    pairs = [("the actor", "film"), ("film", "music"), ("music", "the actor")]
    return [
        {
            "text": f"the actor {i // 3} likes the film and its music {i // 3 * 7}",
            "head": pairs[i % 3][0],
            "tail": pairs[i % 3][1],
        }
        for i in range(count)
    ]


def errors_of(corpus):
    _, errors = check_marked_entities(corpus)
    return [(error.code, error.place, error.message) for error in errors]


def test_entities_in_columns_are_marked(corpus_of):
    corpus, errors = check_marked_entities(corpus_of(["text"], test=named(3)))
    assert errors == []
    assert list(corpus.splits["test"].column("text")) == [
        "<e1>the actor</e1> 0 likes the <e2>film</e2> and its music 0",
        "the actor 0 likes the <e1>film</e1> and its <e2>music</e2> 0",
        "<e2>the actor</e2> 0 likes the film and its <e1>music</e1> 0",
    ]
    assert set(corpus.splits["test"].column("unmarked")) == {"the actor 0 likes the film and its music 0"}


def test_texts_with_markers_stay_as_they_are(corpus_of):
    marked = [{**row, "text": f"<e1>a</e1> {i} <e2>b</e2>"} for i, row in enumerate(named(6))]
    corpus, errors = check_marked_entities(corpus_of(["text"], test=marked))
    assert errors == []
    assert list(corpus.splits["test"].column("text")) == [row["text"] for row in marked]
    assert list(corpus.splits["test"].column("unmarked"))[:2] == ["a 0 b", "a 1 b"]


def test_other_entities_have_another_fingerprint(corpus_of):
    """Encoded rows are cached by the fingerprint."""
    plain = corpus_of(["text"], test=named(6))
    corpus, _ = check_marked_entities(plain)
    assert corpus.fingerprint != plain.fingerprint
    swapped = [{**row, "head": row["tail"], "tail": row["head"]} for row in named(6)]
    other, _ = check_marked_entities(corpus_of(["text"], test=swapped))
    assert other.fingerprint != corpus.fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head": "the opera"}, 'the entity "the opera" is not in the text'),
        ({"tail": "the opera"}, 'the entity "the opera" is not in the text'),
        ({"head": None}, 'the column "head" is null, which is no entity'),
        ({"tail": ""}, 'the column "tail" is "", which is no entity'),
        ({"tail": " "}, 'the column "tail" is " ", which is no entity'),
    ],
)
def test_an_entity_that_is_not_in_the_text_is_an_error(corpus_of, change, message):
    rows = named(30)
    rows[11] |= change
    assert errors_of(corpus_of(["text"], train=rows)) == [("L14", "train.jsonl:12", message)]


def test_an_entity_that_is_an_object_is_an_error(corpus_of):
    rows = [{**row, "head": {"name": row["head"], "pos": [0, 3]}} for row in named(30)]
    code, place, message = errors_of(corpus_of(["text"], train=rows))[0]
    assert (code, place) == ("L14", "train.jsonl:1")
    assert message.startswith('the column "head" is {"name": "the actor"')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no entity here", "the text has no <e1>...</e1>"),
        ("<e1>a</e1> and b", "the text has no <e2>...</e2>"),
        ("<e1>a</e1> <e1>b</e1> <e2>c</e2>", "the text opens <e1> 2 times and closes it 2 times"),
    ],
)
def test_a_text_without_its_markers_is_an_error(corpus_of, text, message):
    rows = [{"text": f"<e1>a</e1> {i} <e2>b</e2>"} for i in range(30)]
    rows[4]["text"] = text
    assert errors_of(corpus_of(["text"], train=rows)) == [("L14", "train.jsonl:5", message)]


def test_from_twenty_errors_on_they_are_counted(corpus_of):
    errors = errors_of(corpus_of(["text"], train=[{"text": f"text number {i}"} for i in range(50)]))
    assert len(errors) == 21
    assert errors[-1][2] == "30 more errors of this kind from here on"
