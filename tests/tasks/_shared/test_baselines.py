import subprocess
import sys

import numpy as np
import pytest

from llmkit.tasks._shared.baselines import (
    Analyzer,
    choose_analyzer,
    fit_line,
    look_up_entities,
    measure_overlap,
    predict_majority,
    predict_nearest_mean,
    predict_nearest_mean_each,
    predict_ridge,
    predict_tfidf,
    predict_tfidf_each,
    predict_tfidf_ridge,
)

WORDS, CHARACTERS = Analyzer("word", (1, 2)), Analyzer("char", (1, 3))


def labels_by_tfidf(texts, labels, new):
    return predict_tfidf(texts, labels, new, classes=labels.max() + 1, seed=0).argmax(-1).tolist()


def test_majority_is_the_most_frequent_label_and_the_lowest_of_several():
    shares = predict_majority(np.array([2, 1, 2, 0]), 3, classes=4)
    assert shares.tolist() == [[0.25, 0.25, 0.5, 0]] * 3
    assert predict_majority(np.array([3, 1, 1, 3]), 1, classes=4).argmax(-1).tolist() == [1]
    assert predict_majority(np.array([0]), 0, classes=2).shape == (0, 2)


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
def test_characters_are_units_if_most_letters_are_chinese_or_japanese(texts, analyzer):
    assert choose_analyzer(texts) == analyzer


@pytest.mark.parametrize(
    "good, bad",
    [("a fine and moving film", "a dull and empty film"), ("这部电影很好看", "这部电影太难看了")],
    ids=["English", "Chinese"],
)
def test_tfidf_learns_from_words(good, bad):
    texts, labels = [good, bad] * 10, np.array([0, 1] * 10)
    assert labels_by_tfidf(texts, labels, [bad, good, good]) == [1, 0, 0]


def test_labels_need_not_be_contiguous_and_signs_count_as_words():
    texts, labels = [":)", ":(", "!"] * 5, np.array([7, 3, 5] * 5)
    assert labels_by_tfidf(texts, labels, ["( :", "! !", ") :"]) == [3, 5, 7]
    probabilities = predict_tfidf(texts, labels, ["!"], classes=9, seed=0)
    assert np.flatnonzero(probabilities).tolist() == [3, 5, 7]  # no training example has another label
    assert probabilities.sum() == pytest.approx(1)


def test_word_pairs_capture_word_order():
    texts, labels = ["not good but bad", "not bad but good"] * 10, np.array([0, 1] * 10)
    assert labels_by_tfidf(texts, labels, ["not bad", "not good"]) == [1, 0]


@pytest.mark.filterwarnings("error")  # scikit-learn would warn about a constant
def test_a_single_training_class_is_always_predicted():
    assert labels_by_tfidf(["a", "b"], np.array([4, 4]), ["c"]) == [4]


def test_the_same_seed_gives_the_same_result():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefgh"), 6)) for _ in range(120)]
    labels = rng.integers(0, 3, 120)
    first, again = (predict_tfidf(texts, labels, texts, classes=3, seed=5) for _ in range(2))
    assert first.shape == (120, 3)
    assert np.allclose(first.sum(-1), 1)
    assert first.tolist() == again.tolist()


def test_the_most_likely_class_equals_scikit_learns_prediction():
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    from llmkit.tasks._shared.baselines import _compute_tfidf

    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(list("abcdefgh"), 6)) for _ in range(300)]
    for classes in (2, 4):
        labels = rng.integers(0, classes, 200)
        known, new = _compute_tfidf(texts[:200], texts[200:])
        model = LogisticRegression(C=10, solver="liblinear", dual=True, max_iter=1000, random_state=3)
        expected = OneVsRestClassifier(model).fit(known, labels).predict(new)
        actual = predict_tfidf(texts[:200], labels, texts[200:], classes=classes, seed=3)
        assert np.array_equal(actual.argmax(-1), expected)


def test_importing_the_module_does_not_import_scikit_learn():
    code = "import sys, llmkit.tasks._shared.baselines; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# several labels


@pytest.mark.filterwarnings("error")  # scikit-learn would warn about a constant label
def test_each_label_has_a_classifier_of_its_own():
    texts = ["warm fresh", "warm", "fresh", "grey"] * 10
    marks = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0]] * 10)
    actual = predict_tfidf_each(texts, marks, ["grey", "warm fresh", "fresh"], seed=0)
    assert (actual > 0.5).tolist() == [
        [False, False, True, False],
        [True, True, True, False],
        [False, True, True, False],
    ]
    assert actual[:, 2:].tolist() == [[1.0, 0.0]] * 3  # labels of all or no examples
    alone = predict_tfidf(texts, marks[:, 0], ["grey", "warm fresh", "fresh"], classes=2, seed=0)
    assert np.allclose(actual[:, 0], alone[:, 1])


# vectors


def clouds(rng, labels):
    """Draw points around a mean per label; the means are far from 0, as those of embeddings are."""
    means = rng.normal(size=(labels.max() + 1, 6)) + 5
    return means[labels] + rng.normal(size=(len(labels), 6))


def test_the_nearest_class_mean_equals_that_of_scikit_learn():
    from sklearn.neighbors import NearestCentroid

    rng = np.random.default_rng(2)
    for classes in (2, 5):
        labels = rng.integers(0, classes, 300)
        points = clouds(rng, labels)
        expected = NearestCentroid().fit(points[:200], labels[:200]).predict(points[200:])
        actual = predict_nearest_mean(points[:200], labels[:200], points[200:], classes=classes)
        assert np.array_equal(actual.argmax(-1), expected)
        assert np.allclose(actual.sum(-1), 1)
        assert (actual.argmax(-1) == labels[200:]).mean() > 2 / classes - 0.1


def test_the_probability_of_a_class_is_that_of_its_gaussian():
    points, labels = (
        np.array([[0.0], [2.0], [9.0], [11.0]]),
        np.array([0, 0, 1, 1]),
    )  # means 1, 10; variance 1
    (actual,) = predict_nearest_mean(points, labels, np.array([[5.4]]), classes=2)
    heights = np.exp([-((5.4 - 1) ** 2) / 2, -((5.4 - 10) ** 2) / 2])
    assert np.allclose(actual, heights / heights.sum())


@pytest.mark.filterwarnings("error")
def test_classes_without_examples_and_equal_examples_are_handled():
    actual = predict_nearest_mean(np.ones((3, 2)), np.array([1, 1, 3]), np.array([[5.0, 0.0]]), classes=5)
    assert actual.tolist() == [[0, 0.5, 0, 0.5, 0]]
    assert predict_nearest_mean(np.eye(2), np.array([0, 1]), np.eye(2), classes=2).argmax(-1).tolist() == [
        0,
        1,
    ]


def test_with_and_without_a_label_are_two_classes():
    rng = np.random.default_rng(3)
    marks = rng.integers(0, 2, (200, 4))
    marks[:, 2], marks[:, 3] = 1, 0
    points = marks @ rng.normal(size=(4, 8)) * 3 + rng.normal(size=(200, 8))
    actual = predict_nearest_mean_each(points[:150], marks[:150], points[150:])
    alone = predict_nearest_mean(points[:150], marks[:150, 0], points[150:], classes=2)
    assert np.array_equal(actual[:, 0], alone[:, 1])
    assert (actual[:, 2:] == [1, 0]).all()
    assert ((actual > 0.5) == marks[150:]).mean() > 0.9


def test_ridge_finds_a_line_under_noise():
    rng = np.random.default_rng(4)
    points, slopes = rng.normal(size=(120, 20)), rng.normal(size=20)
    actual = predict_ridge(points[:100], (points[:100] @ slopes + 3).astype(np.float32), points[100:])
    assert actual.dtype == np.float64
    assert np.allclose(actual, points[100:] @ slopes + 3, atol=0.05)
    noise = predict_ridge(points[:100], rng.normal(size=100), points[100:])
    assert np.abs(noise).max() < 0.6  # noise teaches little


# numbers


def test_ridge_learns_the_weight_of_words():
    texts = [" ".join(["good"] * n + ["bad"] * (4 - n)) for n in range(5)] * 8
    scores = np.array([float(n) for n in range(5)] * 8, np.float32)
    actual = predict_tfidf_ridge(
        texts, scores, ["good good good good", "bad bad bad bad", "good bad bad bad"]
    )
    assert actual.dtype == np.float64
    assert actual[0] == pytest.approx(4, abs=0.4)
    assert actual[1] == pytest.approx(0, abs=0.4)
    assert actual[1] < actual[2] < actual[0]


@pytest.mark.parametrize(
    "first, second, share",
    [
        ("a good film", "a good film", 1.0),
        ("a good film", "A film, good", 3 / 4),
        ("a good film", "dull story", 0.0),
        ("a a a", "a", 1.0),
        ("这部电影很好看", "这部电影难看", 5 / 8),
    ],
)
def test_overlap_is_the_share_of_common_words(first, second, share):
    assert measure_overlap([first], [second]).tolist() == [pytest.approx(share)]
    assert measure_overlap([second], [first]).tolist() == [pytest.approx(share)]


def test_a_fitted_line_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    train, new = rng.random(30), rng.random(5)
    assert np.allclose(fit_line(train, 3 * train + 1, new), 3 * new + 1)
    scores = rng.random(30)
    slope, offset = np.linalg.lstsq(np.column_stack([train, np.ones(30)]), scores, rcond=None)[0]
    assert np.allclose(fit_line(train, scores, new), slope * new + offset)


@pytest.mark.filterwarnings("error")
def test_a_line_through_equal_points_is_level():
    assert fit_line(np.full(4, 0.5), np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 1.0])).tolist() == [
        2.5,
        2.5,
    ]


# entities: O is 0, B-LOC 1, I-LOC 2, B-PER 3, I-PER 4


def looked_up(train, text):
    tokens = [sentence.split() for sentence, _ in train]
    (tags,) = look_up_entities(tokens, [np.array(tags) for _, tags in train], [text.split()])
    assert tags.dtype == np.int64
    return tags.tolist()


def test_entities_are_looked_up_the_longest_first_from_the_left():
    train = [("New York won", [1, 2, 0]), ("York is old", [1, 0, 0]), ("Ann Lee saw it", [3, 4, 0, 0])]
    assert looked_up(train, "Ann Lee in New York , York") == [3, 4, 0, 1, 2, 0, 1]
    assert looked_up(train, "New Lee won") == [0, 0, 0]
    assert looked_up([*train, ("New is old", [1, 0, 0])], "New York , New") == [1, 2, 0, 1]
    assert looked_up(train, "") == []


def test_the_most_frequent_type_of_an_entity_is_predicted():
    train = [("Washington", [1]), ("Washington", [3]), ("Washington", [3])]
    assert looked_up(train, "Washington") == [3]


def test_a_word_that_is_rarely_an_entity_is_ignored():
    half = [("May came", [3, 0]), ("in May", [0, 0])]
    assert looked_up(half, "May") == [3]
    assert looked_up([*half, ("May it be", [0, 0, 0])], "May") == [0]


def test_neighbouring_entities_stay_separate():
    train = [("Ann Lee", [3, 3]), ("Paris Ann", [1, 4])]  # the last tag continues no entity, so it is none
    assert looked_up(train, "Lee Ann Paris") == [3, 3, 1]


def test_without_training_entities_nothing_is_found():
    assert looked_up([("a b", [0, 0])], "a b") == [0, 0]
