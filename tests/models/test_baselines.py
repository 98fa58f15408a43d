import subprocess
import sys

import numpy as np
import pytest

from llmkit.models.baselines import Analyzer, analyzer_for, majority, tfidf

WORDS, CHARACTERS = Analyzer("word", (1, 2)), Analyzer("char", (1, 3))


def test_majority_is_the_commonest_label_and_the_lowest_of_several():
    assert majority(np.array([2, 1, 2, 0]), 3).tolist() == [2, 2, 2]
    assert majority(np.array([3, 1, 1, 3]), 1).tolist() == [1]
    assert majority(np.array([0]), 0).tolist() == []


@pytest.mark.parametrize(
    "texts, analyzer",
    [
        (["a fine film"], WORDS),
        (["这部电影很好看"], CHARACTERS),
        (["この映画は面白い"], CHARACTERS),
        (["이 영화는 재미있다"], WORDS),  # Korean has spaces
        (["8G版iPhone4国内到货本周手机降价排行"], CHARACTERS),
        (["the word 好 means good"], WORDS),
        (["12345 !!!"], WORDS),
        ([], WORDS),
    ],
)
def test_characters_are_units_where_most_letters_are_chinese_or_japanese(texts, analyzer):
    assert analyzer_for(texts) == analyzer


@pytest.mark.parametrize(
    "good, bad",
    [("a fine and moving film", "a dull and empty film"), ("这部电影很好看", "这部电影太难看了")],
    ids=["English", "Chinese"],
)
def test_tfidf_learns_what_words_tell(good, bad):
    texts, labels = [good, bad] * 10, np.array([0, 1] * 10)
    assert tfidf(texts, labels, [bad, good, good], seed=0).tolist() == [1, 0, 0]


def test_labels_need_not_be_contiguous_and_signs_count_as_words():
    texts, labels = [":)", ":(", "!"] * 5, np.array([7, 3, 5] * 5)
    assert tfidf(texts, labels, ["( :", "! !", ") :"], seed=0).tolist() == [3, 5, 7]


def test_word_order_counts_through_pairs():
    texts, labels = ["not good but bad", "not bad but good"] * 10, np.array([0, 1] * 10)
    assert tfidf(texts, labels, ["not bad", "not good"], seed=0).tolist() == [1, 0]


@pytest.mark.filterwarnings("error")  # scikit-learn would warn of a constant
def test_one_training_class_is_the_only_answer():
    assert tfidf(["a", "b"], np.array([4, 4]), ["c"], seed=0).tolist() == [4]


def test_one_seed_gives_one_result():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefgh"), 6)) for _ in range(120)]
    labels = rng.integers(0, 3, 120)
    first, again = (tfidf(texts, labels, texts, seed=5) for _ in range(2))
    assert first.dtype == np.int64
    assert first.tolist() == again.tolist()


def test_importing_the_module_does_not_import_scikit_learn():
    code = "import sys, llmkit.models.baselines; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
