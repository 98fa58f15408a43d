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
    references = rng.integers(0, num_classes, n)
    return references, np.where(rng.random(n) < right, references, rng.integers(0, num_classes, n))


def ids(num_classes):
    return [f"class {c}" for c in range(num_classes)]


ONE_LABEL = pytest.mark.filterwarnings(
    "ignore:A single label was found"
)  # scikit-learn warns about a single class

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
def test_every_metric_equals_scikit_learn(name, case):
    num_classes, references, predictions = CASES[case]
    ours = scores(references, predictions, ids(num_classes), resampling=Resampling(resamples=10))[name]
    assert ours.value == pytest.approx(ORACLES[name](references, predictions), abs=1e-12)
    assert ours.n == len(references)


@pytest.mark.parametrize("case", CASES)
def test_scores_of_every_class_equal_scikit_learn(case):
    num_classes, references, predictions = CASES[case]
    ours = per_class(references, predictions, ids(num_classes))
    theirs = sklearn.precision_recall_fscore_support(
        references, predictions, labels=range(num_classes), zero_division=0, average=None
    )
    for result, precision, recall, f1, support in zip(ours.values(), *theirs):
        assert result["precision"].value == pytest.approx(precision, abs=1e-12)
        assert result["recall"].value == pytest.approx(recall, abs=1e-12)
        assert result["f1"].value == pytest.approx(f1, abs=1e-12)
        assert result["recall"].n == support
    assert list(ours) == ids(num_classes)


@ONE_LABEL
@pytest.mark.parametrize("case", CASES)
def test_confusion_matrix_equals_scikit_learn(case):
    num_classes, references, predictions = CASES[case]
    theirs = sklearn.confusion_matrix(references, predictions, labels=range(num_classes))
    assert confusion_matrix(references, predictions, num_classes).tolist() == theirs.tolist()


def test_every_metric_is_compared_with_a_reference_implementation():
    assert set(ORACLES) == set(METRICS)


def test_metrics_accept_any_leading_axes():
    totals = np.stack([count_cells(*random_labels(4, 50, seed), 4).total for seed in range(6)])
    for metric in METRICS.values():
        together = metric.score(totals.reshape(2, 3, 13))
        assert together.shape == (2, 3)
        assert together.ravel().tolist() == pytest.approx(
            [float(metric.score(total)) for total in totals], abs=1e-15
        )


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 2), min_size=1, max_size=40), st.integers(0, 40))
@settings(deadline=None)
def test_statistics_of_two_halves_add_up(labels, cut):
    references, predictions = np.array(labels).T
    halves = [
        count_cells(references[part], predictions[part], 4).total for part in (slice(cut), slice(cut, None))
    ]
    assert (halves[0] + halves[1]).tolist() == count_cells(references, predictions, 4).total.tolist()


def test_accuracy_is_exactly_hits_over_n():
    for hits in range(50):
        references, predictions = np.zeros(49, int), np.array([0] * hits + [1] * (49 - hits))
        assert (
            measure(count_cells(references, predictions, 2), [get_metric("accuracy")])["accuracy"].value
            == hits / 49
        )


def test_no_interval_without_examples():
    nothing = np.zeros(0, int)
    for score in scores(nothing, nothing, ids(3)).values():
        assert (score.value, score.low, score.high, score.n) == (0.0, None, None, 0)
        assert score.method == "no interval: no examples"
    assert per_class(nothing, nothing, ids(3))["class 2"]["f1"].low is None


def test_method_strings_describe_the_interval_and_the_average():
    result = scores(*random_labels(3, 80, 0), ids(3))
    assert result["accuracy"].method == "Wilson 95%"
    assert result["f1"].method == "BCa bootstrap, 2000 draws, 95%; macro average"
    assert result["mcc"].method == "BCa bootstrap, 2000 draws, 95%"


def test_perfectly_predicted_class_has_an_interval_below_1():
    result = per_class(np.zeros(5, int), np.zeros(5, int), ids(1))["class 0"]
    assert [score.high for score in result.values()] == [1.0, 1.0, 1.0]
    assert result["recall"].low == pytest.approx(0.5655, abs=1e-4)  # Wilson of 5 out of 5
    assert result["f1"].low == pytest.approx(2 * 0.5655 / 1.5655, abs=1e-4)


def test_class_that_is_never_predicted_has_no_precision_interval():
    result = per_class(np.array([0, 1]), np.array([0, 0]), ids(2))["class 1"]
    assert (result["precision"].low, result["precision"].n) == (None, 0)
    assert (result["recall"].value, result["recall"].n) == (0.0, 1)


def test_labels_out_of_range_and_unequal_lengths_fail_an_assertion():
    with pytest.raises(AssertionError, match="not a class"):
        scores(np.array([0, 2]), np.array([0, 1]), ids(2))
    with pytest.raises(AssertionError, match="different lengths"):
        scores(np.array([0, 1]), np.array([0]), ids(2))


def test_unknown_metric_suggests_the_closest_name():
    with pytest.raises(UserError) as error:
        get_metric("acuracy")
    line = str(error.value)
    assert line.startswith('error[E01] unknown metric "acuracy"; did you mean "accuracy"?')
    assert "Fix: choose from accuracy, f1," in line
    assert get_metric("mcc").name == "mcc"


@pytest.mark.parametrize("name", ["f1", "mcc"])
def test_bca_interval_covers_the_true_score_in_95_percent_of_samples(name):
    truth = np.array([[0.40, 0.06, 0.04], [0.05, 0.22, 0.05], [0.03, 0.03, 0.12]])
    total = np.concatenate([np.diag(truth), truth.sum(1), truth.sum(0), [0]])
    expected, rng, covered = float(METRICS[name].score(total)), np.random.default_rng(0), []
    for trial in range(300):
        references, predictions = np.divmod(rng.choice(9, 150, p=truth.ravel()), 3)
        result = measure(
            count_cells(references, predictions, 3),
            [METRICS[name]],
            resampling=Resampling(resamples=600, seed=trial),
        )
        covered.append(result[name].low <= expected <= result[name].high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_f1_interval_of_a_class_covers_the_true_score_in_95_percent_of_samples():
    rng, covered = np.random.default_rng(0), []
    truth = np.array([0.20, 0.05, 0.08, 0.67])  # in both, reference only, predicted only, neither
    expected = 2 * 0.20 / (2 * 0.20 + 0.05 + 0.08)
    for _ in range(1000):
        kind = rng.choice(4, 80, p=truth)
        result = per_class(np.isin(kind, [0, 1]).astype(int), np.isin(kind, [0, 2]).astype(int), ids(2))[
            "class 1"
        ]["f1"]
        covered.append(result.low <= expected <= result.high)
    assert 0.92 <= np.mean(covered) <= 0.98


# Two systems


@pytest.mark.parametrize("metric", ["accuracy", "f1", "mcc"])
def test_difference_is_first_minus_second(metric):
    references, first = random_labels(4, 200, 0, right=0.8)
    _, second = random_labels(4, 200, 0, right=0.5)
    result = difference(references, first, second, ids(4), metric)
    expected = ORACLES[metric](references, first) - ORACLES[metric](references, second)
    assert result.value == pytest.approx(expected, abs=1e-12)
    assert result.low < result.value < result.high
    assert (result.metric, result.n) == (metric, 200)


def test_difference_of_an_unknown_metric_is_an_error():
    with pytest.raises(UserError, match="E01"):
        difference(np.array([0]), np.array([0]), np.array([0]), ids(1), "bleu")


# Ordered classes


def test_mae_exists_for_ordered_classes_only():
    references, predictions = random_labels(5, 200, 0)
    result = scores(references, predictions, ids(5), ordered=True)
    assert list(result) == list(ORDINAL) == [*METRICS, "mae"]
    assert result["mae"].value == pytest.approx(
        sklearn.mean_absolute_error(references, predictions), abs=1e-12
    )
    assert result["mae"].low < result["mae"].value < result["mae"].high
    assert result["mae"].method == "BCa bootstrap, 2000 draws, 95%; distance of class numbers"
    assert "mae" not in scores(references, predictions, ids(5))
    assert get_metric("mae", ordered=True).name == "mae"
    with pytest.raises(UserError, match="E01"):
        get_metric("mae")


def test_negative_difference_of_mae_is_an_improvement():
    references, first = random_labels(5, 300, 0, right=0.8)
    _, second = random_labels(5, 300, 0, right=0.4)
    result = difference(references, first, second, ids(5), "mae", ordered=True)
    expected = [sklearn.mean_absolute_error(references, side) for side in (first, second)]
    assert result.value == pytest.approx(expected[0] - expected[1], abs=1e-12)
    assert describe_difference(result, "the model", "chance").startswith(
        "The model is better than chance by 0."
    )


# Rare classes and probabilities


def unbalanced(n=400, seed=0, strength=0.5):
    """References with a class of 10%, and probabilities (N, 2) that correlate with them."""
    rng = np.random.default_rng(seed)
    references = (np.random.default_rng(7).random(n) < 0.1).astype(int)
    rare = np.clip(rng.random(n) * 0.6 + strength * references * 0.6, 0, 1)
    return references, np.stack([1 - rare, rare], axis=1)


def test_pr_auc_of_all_and_of_each_class_equals_scikit_learn():
    rng = np.random.default_rng(0)
    references, probabilities = rng.integers(0, 3, 200), np.round(rng.random((200, 3)), 2)
    predictions = probabilities.argmax(1)
    result = scores(
        references, predictions, ids(3), probabilities=probabilities, resampling=Resampling(resamples=100)
    )
    expected = sklearn.average_precision_score(references, probabilities, average=None)
    assert result["pr_auc"].value == pytest.approx(expected.mean(), abs=1e-9)
    rows = per_class(
        references, predictions, ids(3), probabilities=probabilities, resampling=Resampling(resamples=100)
    )
    assert [row["pr_auc"].value for row in rows.values()] == pytest.approx(expected, abs=1e-9)
    assert all(row["pr_auc"].low is not None for row in rows.values())
    assert "pr_auc" not in scores(references, predictions, ids(3), resampling=Resampling(resamples=10))


def test_difference_of_pr_auc_for_one_class_and_for_all():
    (references, first), (_, second) = unbalanced(seed=0), unbalanced(seed=1, strength=0.1)
    options = {"probabilities": (first, second), "resampling": Resampling(resamples=300)}
    labels = first.argmax(1), second.argmax(1)
    rare = difference(references, *labels, ["ham", "spam"], "pr_auc", of="spam", **options)
    areas = [sklearn.average_precision_score(references, side[:, 1]) for side in (first, second)]
    assert rare.value == pytest.approx(areas[0] - areas[1], abs=1e-9)
    assert rare.metric == "pr_auc of spam" and rare.low > 0
    both = difference(references, *labels, ["ham", "spam"], "pr_auc", **options)
    assert both.metric == "pr_auc" and both.value != rare.value
    with pytest.raises(UserError, match="E01"):
        difference(references, *labels, ["ham", "spam"], "pr_auc")


@pytest.mark.parametrize("metric", ["f1", "precision", "recall"])
def test_difference_of_one_class(metric):
    references, first = random_labels(4, 300, 0, right=0.8)
    _, second = random_labels(4, 300, 0, right=0.5)
    result = difference(references, first, second, ids(4), metric, of="class 2")
    rows = [per_class(references, side, ids(4))["class 2"][metric].value for side in (first, second)]
    assert result.value == pytest.approx(rows[0] - rows[1], abs=1e-12)
    assert result.metric == f"{metric} of class 2"
    with pytest.raises(UserError, match="E01"):
        difference(references, first, second, ids(4), "accuracy", of="class 2")
