"""Statistics of each segment against those of sacrebleu."""

import random
from itertools import zip_longest

import numpy as np
import pytest
import sacrebleu
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmkit.metrics.text import ngram, word_ngrams
from llmkit.metrics.text.word_ngrams import Vocabulary, count_ngrams

MARKS = [
    *"ab19 .,-'\"&;/()<>\t\n\u00a0\u3000\u2028é好😀",
    *["&lt;", "&amp;", "<skipped>", "-\n", "3,5", "a.b"],
]
TEXT = st.lists(st.sampled_from(MARKS), max_size=25).map("".join)
ROWS = st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3)), min_size=1, max_size=5)


def counted(predictions: list[str], references: list[list[str]], name: str = "13a") -> np.ndarray:
    theirs = sacrebleu.BLEU(tokenize=name, force=True)
    vocabulary = Vocabulary(theirs.tokenizer, piecewise=name == "13a")
    read = [vocabulary.ids(row) for row in references]
    result = count_ngrams(vocabulary.ids(predictions), read)
    own = theirs._extract_corpus_statistics(predictions, list(zip_longest(*references)))
    assert np.array_equal(result, own)
    return result


@given(ROWS)
@example([("a.\t.b", ["&amp;lt; 3-4"])])
@example([("", [""])])
@example([("b b b b", ["b b", "b b b b b b"])])  # two references are equally near: the shorter one counts
@settings(max_examples=150, deadline=None)
def test_any_text_is_counted_as_in_sacrebleu(rows) -> None:
    predictions, references = map(list, zip(*rows))
    for name in ("13a", "char", "intl"):
        counted(predictions, references, name)


def test_corpus_with_many_references_is_counted_as_in_sacrebleu() -> None:
    rng = random.Random(2)
    words = ["the", "cat", "cat,", "sat.", "3.5", "on", "a", "mat"]
    texts = [" ".join(rng.choices(words, k=rng.randint(0, 30))) for _ in range(900)]
    counted(texts[:300], [[texts[300 + n], *texts[600 + n : 600 + n + n % 3]] for n in range(300)])


def test_cache_of_pieces_is_cleared_when_it_is_full(monkeypatch) -> None:
    monkeypatch.setattr(word_ngrams, "MOST", 2)
    vocabulary = Vocabulary(str, piecewise=True)
    first = vocabulary.ids(["a b c d"])
    assert vocabulary.ids(["a b c d"]) == first
    vocabulary.ids(["e"])
    assert len(vocabulary.pieces) == 1


def test_counts_different_from_sacrebleu_raise_an_error(monkeypatch) -> None:
    monkeypatch.setattr(ngram, "count_ngrams", lambda *args: count_ngrams(*args) + 1)
    with pytest.raises(AssertionError, match="counts n-grams differently"):
        ngram.bleu(["the cat sat on the mat"], ["the cat sat on the mat"])
