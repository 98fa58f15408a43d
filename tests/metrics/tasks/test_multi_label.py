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
    """References of different frequency, and predictions with flipped labels."""
    rng = np.random.default_rng(seed)
    references = (rng.random((n, labels)) < np.linspace(0.05, 0.5, labels)).astype(int)
    return references, references ^ (rng.random((n, labels)) < noise)


def random_probabilities(references, seed=0, digits=2):
    """Probabilities rounded to few digits, so that there are many ties."""
    return np.round(np.random.default_rng(seed).random(references.shape) * 0.7 + 0.3 * references, digits)


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
def test_every_metric_equals_scikit_learn(name, case):
    references, predictions = CASES[case]
    ours = scores(references, predictions, resampling=Resampling(resamples=10))[name]
    assert ours.value == pytest.approx(ORACLES[name](references, predictions), abs=1e-9)
    assert values(references, predictions)[name] == pytest.approx(ours.value, abs=1e-12)
    assert ours.n == len(references)


@given(
    st.tuples(st.integers(1, 12), st.integers(2, 5)).flatmap(
        lambda shape: st.tuples(*[arrays(np.int64, shape, elements=st.integers(0, 1))] * 2)
    )
)
def test_scores_of_any_labels_equal_scikit_learn(pair):
    result = values(*pair)
    assert set(result) == set(ORACLES)
    for name, oracle in ORACLES.items():
        assert result[name] == pytest.approx(oracle(*pair), abs=1e-9)


def test_pr_auc_equals_macro_average_precision_of_scikit_learn():
    references, predictions = random_labels()
    probabilities = random_probabilities(references)
    result = scores(
        references, predictions, probabilities=probabilities, resampling=Resampling(resamples=50)
    )["pr_auc"]
    expected = sklearn.average_precision_score(references, probabilities, average="macro")
    assert result.value == pytest.approx(expected, abs=1e-9)
    assert "pr_auc" not in scores(references, predictions, resampling=Resampling(resamples=10))


def test_scores_of_every_label_equal_scikit_learn():
    references, predictions = random_labels()
    probabilities = random_probabilities(references)
    result = per_label(
        references,
        predictions,
        list("abcd"),
        probabilities=probabilities,
        resampling=Resampling(resamples=50),
    )
    theirs = sklearn.precision_recall_fscore_support(references, predictions, zero_division=0)
    areas = sklearn.average_precision_score(references, probabilities, average=None)
    for row, precision, recall, f1, support, area in zip(result.values(), *theirs, areas):
        assert row["precision"].value == pytest.approx(precision, abs=1e-9)
        assert row["recall"].value == pytest.approx(recall, abs=1e-9)
        assert row["f1"].value == pytest.approx(f1, abs=1e-9)
        assert row["pr_auc"].value == pytest.approx(area, abs=1e-9)
        assert row["recall"].n == support
    assert list(result) == list("abcd")
    assert "pr_auc" not in per_label(references, predictions, list("abcd"))["a"]


def test_intervals_contain_the_value_and_methods_name_the_average():
    references, predictions = random_labels()
    result = scores(references, predictions, probabilities=random_probabilities(references))
    for score in result.values():
        assert score.low < score.value < score.high
    assert result["subset_accuracy"].method == "Wilson 95%"
    assert result["f1"].method == "BCa bootstrap, 2000 draws, 95%; macro average over all labels"


def test_no_interval_without_examples():
    nothing = np.zeros((0, 3))
    for score in scores(nothing, nothing, probabilities=nothing).values():
        assert (score.value, score.low, score.high, score.n) == (0.0, None, None, 0)


def test_labels_other_than_0_and_1_fail_an_assertion():
    with pytest.raises(AssertionError, match="0 or 1"):
        values(np.array([[0, 2]]), np.array([[0, 1]]))
    with pytest.raises(AssertionError, match="different shapes"):
        values(np.array([[0, 1]]), np.array([[0, 1], [0, 1]]))


# Two systems


@pytest.mark.parametrize("name", METRICS)
def test_difference_is_first_minus_second(name):
    references, first = random_labels(noise=0.1)
    _, second = random_labels(noise=0.3)
    result = difference(references, first, second, name, resampling=Resampling(resamples=300))
    assert result.value == pytest.approx(
        ORACLES[name](references, first) - ORACLES[name](references, second), abs=1e-9
    )
    assert result.low < result.value < result.high
    assert result.p_value < 0.01
    assert describe_difference(result, "a", "b").startswith("a is better than b by ")


def test_difference_of_pr_auc_compares_the_probabilities():
    references, first = random_labels()
    pair = references * 0.7 + random_probabilities(references), random_probabilities(references, seed=1)
    result = difference(
        references, first, first, "pr_auc", probabilities=pair, resampling=Resampling(resamples=200)
    )
    areas = [sklearn.average_precision_score(references, probabilities) for probabilities in pair]
    assert result.value == pytest.approx(areas[0] - areas[1], abs=1e-9)
    assert result.metric == "pr_auc" and result.low > 0


def test_difference_of_an_unknown_metric_is_an_error():
    references, first = random_labels()
    for name in ("accuracy", "pr_auc"):  # without probabilities there is no PR-AUC
        with pytest.raises(UserError, match="E01"):
            difference(references, first, first, name)


# Thresholds


def best_f1(reference, probability):
    """The best F1 of all thresholds, by trying every one."""
    return max(
        sklearn.f1_score(reference, probability >= threshold, zero_division=0)
        for threshold in {0.0, *probability}
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
def test_no_other_threshold_is_better(pair):
    reference, probability = pair
    (threshold,) = best_thresholds(reference[:, None], probability[:, None])
    assert 0 <= threshold <= 1
    ours = sklearn.f1_score(reference, probability >= threshold, zero_division=0)
    if reference.any():
        assert ours == pytest.approx(best_f1(reference, probability), abs=1e-12)
    else:
        assert threshold == 0.5


def test_threshold_lies_midway_between_its_neighbours():
    reference, probability = np.array([[0], [0], [1], [1]]), np.array([[0.1], [0.2], [0.6], [0.9]])
    assert best_thresholds(reference, probability).tolist() == [0.4]


def test_closest_to_one_half_of_equally_good_thresholds_is_taken():
    # The first alone: 1 correct of 1 predicted and 2 positives. The first four: 2 of 4. F1 is 2 / 3 in both cases.
    reference = np.array([1, 0, 0, 1, 0, 0])[:, None]
    probability = np.array([0.95, 0.9, 0.8, 0.3, 0.2, 0.1])[:, None]
    f1 = [sklearn.f1_score(reference, probability >= cut) for cut in (0.925, 0.25)]
    assert f1[0] == pytest.approx(f1[1])
    assert best_thresholds(reference, probability).tolist() == [0.25]


def test_thresholds_of_labels_are_independent():
    references, _ = random_labels()
    probabilities = random_probabilities(references)
    together = best_thresholds(references, probabilities)
    apart = [best_thresholds(references[:, [c]], probabilities[:, [c]])[0] for c in range(4)]
    assert together.tolist() == apart
    shuffled = np.random.default_rng(0).permutation(200)
    assert best_thresholds(references[shuffled], probabilities[shuffled]).tolist() == together.tolist()
    tuned = values(references, probabilities >= together)["f1"]
    assert tuned > values(references, probabilities >= 0.5)["f1"]


def test_labels_with_few_examples_share_the_best_common_threshold():
    references, _ = random_labels()
    probabilities = random_probabilities(references)
    for examples in (FEW - 1, FEW):
        rare = references.copy()
        rare[np.flatnonzero(references[:, 0])[examples:], 0] = 0
        first, second = best_thresholds(rare, probabilities)[:2]
        common = best_thresholds(rare.reshape(-1, 1), probabilities.reshape(-1, 1))[0]
        own = best_thresholds(rare[:, [0]], probabilities[:, [0]])[0]
        assert own != common
        assert first == (common if examples < FEW else own)
        assert second == best_thresholds(references[:, [1]], probabilities[:, [1]])[0]


def test_thresholds_work_for_single_precision_probabilities():
    references, _ = random_labels()
    probabilities = random_probabilities(references, digits=7).astype(np.float32)
    result = probabilities >= best_thresholds(references, probabilities)
    for c in range(4):
        assert sklearn.f1_score(references[:, c], result[:, c]) == pytest.approx(
            best_f1(references[:, c], probabilities[:, c]), abs=1e-12
        )
