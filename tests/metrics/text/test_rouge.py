import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from llmkit.base.errors import UserError
from llmkit.metrics import intervals
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.text import rouge as module
from llmkit.metrics.text.rouge import NAMES, rouge

TEXT = st.text(st.sampled_from("aab  ..\n\nC1é山😀"), max_size=25)
FEW_WORDS = ["the", "The", "cat", "cats", "running", "runs", "ran", "of", "a", "b"]
ODD = [
    "",
    " ",
    "\n",
    "?!\n…",
    "😀",
    "word",
    "Word.",
    "wo\nrd",
    "a a a a",
    "a\n\na\na",
    "word " * 300,
    "é",
    "\r\na",
]


def theirs(predictions, references, tokenizer=None, **how):
    """F1 (N, 4) by the package rouge_score, 0-100."""
    scorer = RougeScorer(list(NAMES), tokenizer=tokenizer, **how)
    scores = [scorer.score_multi(several, text) for text, several in zip(predictions, references)]
    return np.array([[100 * score[name].fmeasure for name in NAMES] for score in scores])


def rows(predictions, references, **how):
    return rouge(predictions, references, tokenizer="words", **how).rows[:, : len(NAMES)]


def made_up(seed, count):
    """Texts of several lines over few words, so that there are many longest subsequences to choose from."""
    rng = random.Random(seed)

    def text():
        words = rng.choices(FEW_WORDS[: rng.randint(2, 10)], k=rng.randint(0, 40))
        return "".join(word + rng.choice([" ", " ", " ", ". ", "\n", "\n\n"]) for word in words)

    return [text() for _ in range(count)], [[text() for _ in range(rng.randint(1, 3))] for _ in range(count)]


@pytest.mark.parametrize("stemmer", [False, True])
@settings(max_examples=60)
@given(pairs=st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3)), min_size=1, max_size=4))
def test_scores_of_any_text_equal_rouge_score(stemmer, pairs):
    predictions, references = zip(*[*pairs, ("a", ["a"])])  # at least one reference has a token
    expected = theirs(predictions, references, use_stemmer=stemmer)
    assert rows(predictions, references, stemmer=stemmer) == pytest.approx(expected, abs=1e-12, rel=0)


@pytest.mark.parametrize("stemmer", [False, True])
def test_scores_of_unusual_texts_equal_rouge_score(stemmer):
    predictions, references = zip(*[(text, [other]) for text in ODD for other in ODD])
    expected = theirs(predictions, references, use_stemmer=stemmer)
    assert rows(predictions, references, stemmer=stemmer) == pytest.approx(expected, abs=1e-12, rel=0)


@pytest.mark.parametrize("stemmer", [False, True])
def test_scores_of_several_lines_and_references_equal_rouge_score(stemmer):
    predictions, references = made_up(0, 150)
    expected = theirs(predictions, references, use_stemmer=stemmer)
    assert rows(predictions, references, stemmer=stemmer) == pytest.approx(expected, abs=1e-12, rel=0)
    assert np.ptp(expected - expected[:, [2]], axis=0)[3] > 1  # Lsum differs from L


def test_block_size_does_not_change_the_scores(monkeypatch):
    predictions, references = made_up(1, 30)
    whole = rows(predictions, references)
    monkeypatch.setattr(module, "BLOCK_PAIRS", 5)
    assert (rows(predictions, references) == whole).all()
    monkeypatch.setattr(module, "BLOCK_CHARACTERS", 1)
    assert (rows(predictions, references) == whole).all()


@pytest.mark.shared
@pytest.mark.parametrize("stemmer", [False, True])
def test_scores_of_real_summaries_equal_rouge_score(shared, stemmer):
    lines = (shared / "summarization/dialogsum/test.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines[:25]]
    predictions = [record["dialogue"][:400] for record in records]
    references = [record["references"] for record in records]
    assert min(map(len, references)) == 3
    expected = theirs(predictions, references, use_stemmer=stemmer)
    measured = rouge(predictions, references, stemmer=stemmer)
    assert measured.rows[:, :4] == pytest.approx(expected, abs=1e-12, rel=0)
    assert list(measured.values().values()) == pytest.approx(expected.mean(axis=0), abs=1e-12, rel=0)


def test_score_by_hand():
    values = rouge(["the cat sat"], [["a cat sat", "the dog sat down"]]).values()
    assert values == pytest.approx({"rouge1": 200 / 3, "rouge2": 50, "rougeL": 200 / 3, "rougeLsum": 200 / 3})


class Characters:
    def tokenize(self, text):
        return [letter for letter in text if letter.isalnum()]


class Segmented:
    def tokenize(self, text):
        import jieba

        return [word for word in jieba.lcut(text) if word.isalnum()]


@pytest.mark.shared
@pytest.mark.parametrize("name, reference_tokenizer", [("characters", Characters()), ("jieba", Segmented())])
def test_chinese_scores_equal_rouge_score_with_the_same_tokenizer(shared, name, reference_tokenizer):
    lines = (shared / "summarization/csl_titles_zh/test.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    pairs = [(record["summary"], record["document"].replace("，", "\n")) for record in records]
    predictions, references = zip(*[(a, [b]) for a, b in pairs if all(map(han, a + b))])
    assert len(predictions) > 5
    expected = theirs(predictions, references, tokenizer=reference_tokenizer)
    measured = rouge(predictions, references, tokenizer=name)
    assert measured.rows[:, :4] == pytest.approx(expected, abs=1e-12, rel=0)


def han(letter):
    return "\u4e00" <= letter <= "\u9fff" or not letter.isalnum()


def test_identical_chinese_texts_score_100_and_the_note_names_the_tokenizer():
    measured = rouge(["机器学习。", "山东队"], [["机器学习"], ["山东队！"]])
    assert set(measured.values().values()) == {100.0}
    score = intervals.measure(measured.rows, measured.metrics, resampling=Resampling(resamples=10))["rougeL"]
    assert score.value == 100 and "mean F1, 0-100; tokenizer characters; no stemmer" in score.method
    assert "tokenizer words; Porter stemmer" in rouge(["a"], [["a"]], stemmer=True).metrics[0].note


def test_language_chooses_the_tokenizer():
    assert rouge(["été"], [["été chaud"]], language="fr").values()["rouge1"] == pytest.approx(200 / 3)
    assert "tokenizer unicode" in rouge(["été"], [["été"]], language="fr").metrics[0].note


def test_references_without_any_token_are_an_error():
    with pytest.raises(UserError, match=r'E10\] the tokenizer "words" finds no token in any reference'):
        rouge(["机器学习", "a"], [["机器学习"], ["学习", "！"]], tokenizer="words")
    with pytest.raises(UserError, match="E10"):
        rouge(["привет"], [["привет"]], language="en")


def test_note_counts_references_without_a_token():
    measured = rouge(["cat", "b"], [["cat", "机器"], [""]])
    assert measured.values()["rouge1"] == 50
    assert measured.metrics[0].note.endswith("; references without a token: 2")


def test_empty_corpus_scores_0():
    measured = rouge([], [])
    assert measured.rows.shape == (0, 5)
    assert set(measured.values().values()) == {0.0}
