import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from llmkit.base.errors import UserError
from llmkit.metrics.intervals import measure
from llmkit.metrics.paired import describe_difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.tasks.classification import (
    METRICS,
    ORDINAL,
    confusion_matrix,
    count_cells,
    difference,
    get_metric,
    per_class,
    scores,
)

ORACLES = {
    "accuracy": sklearn.accuracy_score,
    "mcc": sklearn.matthews_corrcoef,
    **{
        key: lambda g, p, f=function, a=average: f(g, p, average=a, zero_division=0)
        for key, function, average in [
            ("f1", sklearn.f1_score, "macro"),
            ("precision", sklearn.precision_score, "macro"),
            ("recall", sklearn.recall_score, "macro"),
            ("f1_micro", sklearn.f1_score, "micro"),
            ("precision_micro", sklearn.precision_score, "micro"),
            ("recall_micro", sklearn.recall_score, "micro"),
        ]
    },
}


def random_labels(num_classes, n, seed, right=0.6):
    rng = np.random.default_rng(seed)
    golds = rng.integers(0, num_classes, n)
    return golds, np.where(rng.random(n) < right, golds, rng.integers(0, num_classes, n))


def ids(num_classes):
    return [f"class {c}" for c in range(num_classes)]


ONE_LABEL = pytest.mark.filterwarnings("ignore:A single label was found")  # scikit-learn's word on one class

CASES = {
    "two classes": (2, *random_labels(2, 300, 0)),
    "seven classes": (7, *random_labels(7, 500, 1)),
    "a hundred classes, many absent": (100, *random_labels(100, 60, 2)),
    "chance": (5, *random_labels(5, 200, 3, right=0.0)),
    "all right": (3, np.array([0, 1, 2, 2]), np.array([0, 1, 2, 2])),
    "all wrong": (3, np.array([0, 1, 2]), np.array([1, 2, 0])),
    "one class": (1, np.zeros(5, int), np.zeros(5, int)),
    "one gold class": (3, np.zeros(6, int), np.array([0, 0, 1, 0, 0, 1])),
    "one predicted class": (3, np.array([0, 1, 2, 0, 1, 1]), np.ones(6, int)),
    "predicted class without gold": (4, np.array([0, 0, 1]), np.array([0, 3, 1])),
    "one right example": (3, np.array([2]), np.array([2])),
    "one wrong example": (3, np.array([2]), np.array([0])),
}


@ONE_LABEL
@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("case", CASES)
def test_every_metric_is_scikit_learns(name, case):
    num_classes, golds, predictions = CASES[case]
    ours = scores(golds, predictions, ids(num_classes), resampling=Resampling(resamples=10))[name]
    assert ours.value == pytest.approx(ORACLES[name](golds, predictions), abs=1e-12)
    assert ours.n == len(golds)


@pytest.mark.parametrize("case", CASES)
def test_every_class_is_scikit_learns(case):
    num_classes, golds, predictions = CASES[case]
    ours = per_class(golds, predictions, ids(num_classes))
    theirs = sklearn.precision_recall_fscore_support(
        golds, predictions, labels=range(num_classes), zero_division=0, average=None
    )
    for found, precision, recall, f1, support in zip(ours.values(), *theirs):
        assert found["precision"].value == pytest.approx(precision, abs=1e-12)
        assert found["recall"].value == pytest.approx(recall, abs=1e-12)
        assert found["f1"].value == pytest.approx(f1, abs=1e-12)
        assert found["recall"].n == support
    assert list(ours) == ids(num_classes)


@ONE_LABEL
@pytest.mark.parametrize("case", CASES)
def test_confusion_is_scikit_learns(case):
    num_classes, golds, predictions = CASES[case]
    theirs = sklearn.confusion_matrix(golds, predictions, labels=range(num_classes))
    assert confusion_matrix(golds, predictions, num_classes).tolist() == theirs.tolist()


def test_no_metric_lacks_an_oracle():
    assert set(ORACLES) == set(METRICS)


def test_metrics_take_any_leading_axes():
    totals = np.stack([count_cells(*random_labels(4, 50, seed), 4).total for seed in range(6)])
    for metric in METRICS.values():
        together = metric.score(totals.reshape(2, 3, 13))
        assert together.shape == (2, 3)
        assert together.ravel().tolist() == pytest.approx(
            [float(metric.score(total)) for total in totals], abs=1e-15
        )


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 2), min_size=1, max_size=40), st.integers(0, 40))
@settings(deadline=None)
def test_the_halves_statistics_add_up_to_the_wholes(labels, cut):
    golds, predictions = np.array(labels).T
    halves = [count_cells(golds[part], predictions[part], 4).total for part in (slice(cut), slice(cut, None))]
    assert (halves[0] + halves[1]).tolist() == count_cells(golds, predictions, 4).total.tolist()


def test_accuracy_is_hits_over_n_to_the_bit():
    for hits in range(50):
        golds, predictions = np.zeros(49, int), np.array([0] * hits + [1] * (49 - hits))
        assert (
            measure(count_cells(golds, predictions, 2), [get_metric("accuracy")])["accuracy"].value
            == hits / 49
        )


def test_without_examples_there_is_no_interval():
    nothing = np.zeros(0, int)
    for score in scores(nothing, nothing, ids(3)).values():
        assert (score.value, score.low, score.high, score.n) == (0.0, None, None, 0)
        assert score.method == "no interval: no examples"
    assert per_class(nothing, nothing, ids(3))["class 2"]["f1"].low is None


def test_methods_say_how():
    found = scores(*random_labels(3, 80, 0), ids(3))
    assert found["accuracy"].method == "Wilson 95%"
    assert found["f1"].method == "BCa bootstrap, 2000 draws, 95%; macro average"
    assert found["mcc"].method == "BCa bootstrap, 2000 draws, 95%"


def test_a_class_with_every_example_right_still_has_an_open_interval():
    found = per_class(np.zeros(5, int), np.zeros(5, int), ids(1))["class 0"]
    assert [score.high for score in found.values()] == [1.0, 1.0, 1.0]
    assert found["recall"].low == pytest.approx(0.5655, abs=1e-4)  # Wilson of 5 out of 5
    assert found["f1"].low == pytest.approx(2 * 0.5655 / 1.5655, abs=1e-4)


def test_a_class_never_predicted_has_no_precision_interval():
    found = per_class(np.array([0, 1]), np.array([0, 0]), ids(2))["class 1"]
    assert (found["precision"].low, found["precision"].n) == (None, 0)
    assert (found["recall"].value, found["recall"].n) == (0.0, 1)


def test_classes_outside_the_names_and_uneven_lengths_are_bugs():
    with pytest.raises(AssertionError, match="not a class"):
        scores(np.array([0, 2]), np.array([0, 1]), ids(2))
    with pytest.raises(AssertionError, match="different lengths"):
        scores(np.array([0, 1]), np.array([0]), ids(2))


def test_an_unknown_metric_is_told_with_the_nearest_name():
    with pytest.raises(UserError) as error:
        get_metric("acuracy")
    line = str(error.value)
    assert line.startswith('error[E01] unknown metric "acuracy"; did you mean "accuracy"?')
    assert "Fix: choose from accuracy, f1," in line
    assert get_metric("mcc").name == "mcc"


@pytest.mark.parametrize("name", ["f1", "mcc"])
def test_bca_covers_the_true_score_in_95_of_100_samples(name):
    truth = np.array([[0.40, 0.06, 0.04], [0.05, 0.22, 0.05], [0.03, 0.03, 0.12]])
    total = np.concatenate([np.diag(truth), truth.sum(1), truth.sum(0), [0]])
    expected, rng, covered = float(METRICS[name].score(total)), np.random.default_rng(0), []
    for trial in range(300):
        golds, predictions = np.divmod(rng.choice(9, 150, p=truth.ravel()), 3)
        found = measure(
            count_cells(golds, predictions, 3),
            [METRICS[name]],
            resampling=Resampling(resamples=600, seed=trial),
        )
        covered.append(found[name].low <= expected <= found[name].high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_f1_of_a_class_covers_the_true_score_in_95_of_100_samples():
    rng, covered = np.random.default_rng(0), []
    truth = np.array([0.20, 0.05, 0.08, 0.67])  # both, only gold, only predicted, neither
    expected = 2 * 0.20 / (2 * 0.20 + 0.05 + 0.08)
    for _ in range(1000):
        kind = rng.choice(4, 80, p=truth)
        found = per_class(np.isin(kind, [0, 1]).astype(int), np.isin(kind, [0, 2]).astype(int), ids(2))[
            "class 1"
        ]["f1"]
        covered.append(found.low <= expected <= found.high)
    assert 0.92 <= np.mean(covered) <= 0.98


# Two systems


@pytest.mark.parametrize("metric", ["accuracy", "f1", "mcc"])
def test_a_difference_is_first_minus_second(metric):
    golds, first = random_labels(4, 200, 0, right=0.8)
    _, second = random_labels(4, 200, 0, right=0.5)
    found = difference(golds, first, second, ids(4), metric)
    expected = ORACLES[metric](golds, first) - ORACLES[metric](golds, second)
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.low < found.value < found.high
    assert (found.metric, found.n) == (metric, 200)


def test_an_unknown_metric_has_no_difference():
    with pytest.raises(UserError, match="E01"):
        difference(np.array([0]), np.array([0]), np.array([0]), ids(1), "bleu")


# Ordered classes


def test_mae_is_offered_for_ordered_classes_only():
    golds, predictions = random_labels(5, 200, 0)
    found = scores(golds, predictions, ids(5), ordered=True)
    assert list(found) == list(ORDINAL) == [*METRICS, "mae"]
    assert found["mae"].value == pytest.approx(sklearn.mean_absolute_error(golds, predictions), abs=1e-12)
    assert found["mae"].low < found["mae"].value < found["mae"].high
    assert found["mae"].method == "BCa bootstrap, 2000 draws, 95%; distance of class numbers"
    assert "mae" not in scores(golds, predictions, ids(5))
    assert get_metric("mae", ordered=True).name == "mae"
    with pytest.raises(UserError, match="E01"):
        get_metric("mae")


def test_a_difference_of_mae_is_better_below_zero():
    golds, first = random_labels(5, 300, 0, right=0.8)
    _, second = random_labels(5, 300, 0, right=0.4)
    found = difference(golds, first, second, ids(5), "mae", ordered=True)
    expected = [sklearn.mean_absolute_error(golds, side) for side in (first, second)]
    assert found.value == pytest.approx(expected[0] - expected[1], abs=1e-12)
    assert describe_difference(found, "the model", "chance").startswith(
        "The model is better than chance by 0."
    )


# Rare classes and probabilities


def unbalanced(n=400, seed=0, strength=0.5):
    """One class in ten, and probabilities (N, 2) that know something of it."""
    rng = np.random.default_rng(seed)
    golds = (np.random.default_rng(7).random(n) < 0.1).astype(int)
    rare = np.clip(rng.random(n) * 0.6 + strength * golds * 0.6, 0, 1)
    return golds, np.stack([1 - rare, rare], axis=1)


def test_pr_auc_is_the_macro_average_and_each_classs_own():
    rng = np.random.default_rng(0)
    golds, probabilities = rng.integers(0, 3, 200), np.round(rng.random((200, 3)), 2)
    predictions = probabilities.argmax(1)
    found = scores(
        golds, predictions, ids(3), probabilities=probabilities, resampling=Resampling(resamples=100)
    )
    expected = sklearn.average_precision_score(golds, probabilities, average=None)
    assert found["pr_auc"].value == pytest.approx(expected.mean(), abs=1e-9)
    rows = per_class(
        golds, predictions, ids(3), probabilities=probabilities, resampling=Resampling(resamples=100)
    )
    assert [row["pr_auc"].value for row in rows.values()] == pytest.approx(expected, abs=1e-9)
    assert all(row["pr_auc"].low is not None for row in rows.values())
    assert "pr_auc" not in scores(golds, predictions, ids(3), resampling=Resampling(resamples=10))


def test_a_difference_of_pr_auc_of_the_rare_class_and_of_all():
    (golds, first), (_, second) = unbalanced(seed=0), unbalanced(seed=1, strength=0.1)
    options = {"probabilities": (first, second), "resampling": Resampling(resamples=300)}
    labels = first.argmax(1), second.argmax(1)
    rare = difference(golds, *labels, ["ham", "spam"], "pr_auc", of="spam", **options)
    areas = [sklearn.average_precision_score(golds, side[:, 1]) for side in (first, second)]
    assert rare.value == pytest.approx(areas[0] - areas[1], abs=1e-9)
    assert rare.metric == "pr_auc of spam" and rare.low > 0
    both = difference(golds, *labels, ["ham", "spam"], "pr_auc", **options)
    assert both.metric == "pr_auc" and both.value != rare.value
    with pytest.raises(UserError, match="E01"):
        difference(golds, *labels, ["ham", "spam"], "pr_auc")


@pytest.mark.parametrize("metric", ["f1", "precision", "recall"])
def test_a_difference_of_one_class(metric):
    golds, first = random_labels(4, 300, 0, right=0.8)
    _, second = random_labels(4, 300, 0, right=0.5)
    found = difference(golds, first, second, ids(4), metric, of="class 2")
    rows = [per_class(golds, side, ids(4))["class 2"][metric].value for side in (first, second)]
    assert found.value == pytest.approx(rows[0] - rows[1], abs=1e-12)
    assert found.metric == f"{metric} of class 2"
    with pytest.raises(UserError, match="E01"):
        difference(golds, first, second, ids(4), "accuracy", of="class 2")
