import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn

from llmkit.base.errors import UserError
from llmkit.metrics.paired import describe_difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.tasks.multi_label import (
    FEW,
    METRICS,
    best_thresholds,
    difference,
    per_label,
    scores,
    values,
)

ORACLES = {
    **{
        key: lambda g, p, f=function, a=average: f(g, p, average=a, zero_division=0)
        for key, function, average in [
            ("f1", sklearn.f1_score, "macro"),
            ("precision", sklearn.precision_score, "macro"),
            ("recall", sklearn.recall_score, "macro"),
            ("f1_micro", sklearn.f1_score, "micro"),
            ("precision_micro", sklearn.precision_score, "micro"),
            ("recall_micro", sklearn.recall_score, "micro"),
            ("f1_samples", sklearn.f1_score, "samples"),
        ]
    },
    "subset_accuracy": sklearn.accuracy_score,
    "hamming_loss": sklearn.hamming_loss,
}


def random_labels(labels=4, n=200, seed=0, noise=0.2):
    """Golds of unequal frequency and predictions with flipped labels."""
    rng = np.random.default_rng(seed)
    golds = (rng.random((n, labels)) < np.linspace(0.05, 0.5, labels)).astype(int)
    return golds, golds ^ (rng.random((n, labels)) < noise)


def random_probabilities(golds, seed=0, digits=2):
    """Rounded: many ties."""
    return np.round(np.random.default_rng(seed).random(golds.shape) * 0.7 + 0.3 * golds, digits)


CASES = {
    "plain": random_labels(),
    "many labels, few examples": random_labels(30, 12),
    "all right": (random_labels()[0],) * 2,
    "all wrong": (random_labels()[0], 1 - random_labels()[0]),
    "nothing predicted": (random_labels()[0], np.zeros((200, 4), int)),
    "nothing gold": (np.zeros((200, 4), int), random_labels()[1]),
    "nothing at all": (np.zeros((5, 2), int), np.zeros((5, 2), int)),
    "everything": (np.ones((5, 2), int), np.ones((5, 2), int)),
}


# Values


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("case", CASES)
def test_every_metric_is_scikit_learns(name, case):
    golds, predictions = CASES[case]
    ours = scores(golds, predictions, resampling=Resampling(resamples=10))[name]
    assert ours.value == pytest.approx(ORACLES[name](golds, predictions), abs=1e-9)
    assert values(golds, predictions)[name] == pytest.approx(ours.value, abs=1e-12)
    assert ours.n == len(golds)


@given(
    st.tuples(st.integers(1, 12), st.integers(2, 5)).flatmap(
        lambda shape: st.tuples(*[arrays(np.int64, shape, elements=st.integers(0, 1))] * 2)
    )
)
def test_any_labels_score_as_in_scikit_learn(pair):
    found = values(*pair)
    assert set(found) == set(ORACLES)
    for name, oracle in ORACLES.items():
        assert found[name] == pytest.approx(oracle(*pair), abs=1e-9)


def test_pr_auc_is_scikit_learns_macro_average_precision():
    golds, predictions = random_labels()
    probabilities = random_probabilities(golds)
    found = scores(golds, predictions, probabilities=probabilities, resampling=Resampling(resamples=50))[
        "pr_auc"
    ]
    expected = sklearn.average_precision_score(golds, probabilities, average="macro")
    assert found.value == pytest.approx(expected, abs=1e-9)
    assert "pr_auc" not in scores(golds, predictions, resampling=Resampling(resamples=10))


def test_every_label_is_scikit_learns():
    golds, predictions = random_labels()
    probabilities = random_probabilities(golds)
    found = per_label(
        golds, predictions, list("abcd"), probabilities=probabilities, resampling=Resampling(resamples=50)
    )
    theirs = sklearn.precision_recall_fscore_support(golds, predictions, zero_division=0)
    areas = sklearn.average_precision_score(golds, probabilities, average=None)
    for row, precision, recall, f1, support, area in zip(found.values(), *theirs, areas):
        assert row["precision"].value == pytest.approx(precision, abs=1e-9)
        assert row["recall"].value == pytest.approx(recall, abs=1e-9)
        assert row["f1"].value == pytest.approx(f1, abs=1e-9)
        assert row["pr_auc"].value == pytest.approx(area, abs=1e-9)
        assert row["recall"].n == support
    assert list(found) == list("abcd")
    assert "pr_auc" not in per_label(golds, predictions, list("abcd"))["a"]


def test_intervals_and_methods():
    golds, predictions = random_labels()
    found = scores(golds, predictions, probabilities=random_probabilities(golds))
    for score in found.values():
        assert score.low < score.value < score.high
    assert found["subset_accuracy"].method == "Wilson 95%"
    assert found["f1"].method == "BCa bootstrap, 2000 draws, 95%; macro average over all labels"


def test_without_examples_there_is_no_interval():
    nothing = np.zeros((0, 3))
    for score in scores(nothing, nothing, probabilities=nothing).values():
        assert (score.value, score.low, score.high, score.n) == (0.0, None, None, 0)


def test_labels_that_are_no_marks_are_bugs():
    with pytest.raises(AssertionError, match="0 or 1"):
        values(np.array([[0, 2]]), np.array([[0, 1]]))
    with pytest.raises(AssertionError, match="different shapes"):
        values(np.array([[0, 1]]), np.array([[0, 1], [0, 1]]))


# Two systems


@pytest.mark.parametrize("name", METRICS)
def test_a_difference_is_first_minus_second(name):
    golds, first = random_labels(noise=0.1)
    _, second = random_labels(noise=0.3)
    found = difference(golds, first, second, name, resampling=Resampling(resamples=300))
    assert found.value == pytest.approx(ORACLES[name](golds, first) - ORACLES[name](golds, second), abs=1e-9)
    assert found.low < found.value < found.high
    assert found.p_value < 0.01
    assert describe_difference(found, "a", "b").startswith("a is better than b by ")


def test_a_difference_of_pr_auc_takes_the_probabilities():
    golds, first = random_labels()
    pair = golds * 0.7 + random_probabilities(golds), random_probabilities(golds, seed=1)
    found = difference(
        golds, first, first, "pr_auc", probabilities=pair, resampling=Resampling(resamples=200)
    )
    areas = [sklearn.average_precision_score(golds, probabilities) for probabilities in pair]
    assert found.value == pytest.approx(areas[0] - areas[1], abs=1e-9)
    assert found.metric == "pr_auc" and found.low > 0


def test_an_unknown_metric_has_no_difference():
    golds, first = random_labels()
    for name in ("accuracy", "pr_auc"):  # without probabilities there is no PR-AUC
        with pytest.raises(UserError, match="E01"):
            difference(golds, first, first, name)


# Thresholds


def best_f1(gold, probability):
    """The best F1 of all thresholds that separate anything, by trying them all."""
    return max(
        sklearn.f1_score(gold, probability >= threshold, zero_division=0) for threshold in {0.0, *probability}
    )


@given(
    st.integers(1, 25).flatmap(
        lambda n: st.tuples(
            arrays(np.int64, n, elements=st.integers(0, 1)),
            arrays(
                np.float64,
                n,
                elements=st.one_of(
                    st.floats(0, 1),
                    st.sampled_from([0.0, 0.5, np.nextafter(0.5, 1), np.nextafter(0.5, 0), 1.0]),
                ),
            ),
        )
    )
)
def test_no_threshold_is_better(pair):
    gold, probability = pair
    (threshold,) = best_thresholds(gold[:, None], probability[:, None])
    assert 0 <= threshold <= 1
    ours = sklearn.f1_score(gold, probability >= threshold, zero_division=0)
    if gold.any():
        assert ours == pytest.approx(best_f1(gold, probability), abs=1e-12)
    else:
        assert threshold == 0.5


def test_a_threshold_lies_midway_between_its_neighbours():
    gold, probability = np.array([[0], [0], [1], [1]]), np.array([[0.1], [0.2], [0.6], [0.9]])
    assert best_thresholds(gold, probability).tolist() == [0.4]


def test_of_equally_good_thresholds_the_closest_to_a_half_is_taken():
    # The first alone: 1 right of 1 predicted and 2 gold. The first four: 2 right of 4 predicted. F1 is 2 / 3 in both.
    gold = np.array([1, 0, 0, 1, 0, 0])[:, None]
    probability = np.array([0.95, 0.9, 0.8, 0.3, 0.2, 0.1])[:, None]
    f1 = [sklearn.f1_score(gold, probability >= cut) for cut in (0.925, 0.25)]
    assert f1[0] == pytest.approx(f1[1])
    assert best_thresholds(gold, probability).tolist() == [0.25]


def test_every_label_has_its_own_threshold_and_equal_data_equal_ones():
    golds, _ = random_labels()
    probabilities = random_probabilities(golds)
    together = best_thresholds(golds, probabilities)
    apart = [best_thresholds(golds[:, [c]], probabilities[:, [c]])[0] for c in range(4)]
    assert together.tolist() == apart
    shuffled = np.random.default_rng(0).permutation(200)
    assert best_thresholds(golds[shuffled], probabilities[shuffled]).tolist() == together.tolist()
    tuned = values(golds, probabilities >= together)["f1"]
    assert tuned > values(golds, probabilities >= 0.5)["f1"]


def test_labels_with_few_examples_share_the_threshold_that_is_best_for_all_together():
    golds, _ = random_labels()
    probabilities = random_probabilities(golds)
    for examples in (FEW - 1, FEW):
        rare = golds.copy()
        rare[np.flatnonzero(golds[:, 0])[examples:], 0] = 0
        first, second = best_thresholds(rare, probabilities)[:2]
        common = best_thresholds(rare.reshape(-1, 1), probabilities.reshape(-1, 1))[0]
        own = best_thresholds(rare[:, [0]], probabilities[:, [0]])[0]
        assert own != common
        assert first == (common if examples < FEW else own)
        assert second == best_thresholds(golds[:, [1]], probabilities[:, [1]])[0]


def test_single_precision_probabilities_keep_their_side():
    golds, _ = random_labels()
    probabilities = random_probabilities(golds, digits=7).astype(np.float32)
    found = probabilities >= best_thresholds(golds, probabilities)
    for c in range(4):
        assert sklearn.f1_score(golds[:, c], found[:, c]) == pytest.approx(
            best_f1(golds[:, c], probabilities[:, c]), abs=1e-12
        )
