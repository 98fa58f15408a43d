import json

import numpy as np
import pytest

from llmkit.base.errors import UserError
from llmkit.metrics.score import BY_COUNTS, Metric, Score, Statistics, find_metric, ratio


def test_zero_over_zero_is_zero_and_the_rest_divides():
    assert ratio(np.array([0.0, 3.0, 0.0]), np.array([0.0, 4.0, 5.0])).tolist() == [0.0, 0.75, 0.0]


def test_ratio_broadcasts_and_takes_counts():
    assert ratio(np.array([[1], [3]]), np.array([2, 4])).tolist() == [[0.5, 0.25], [1.5, 0.75]]


def test_a_score_without_an_interval_is_json():
    score = Score(0.0, None, None, 0, "no interval: no examples")
    assert json.loads(json.dumps(score.to_json(), allow_nan=False)) == {
        "value": 0.0,
        "low": None,
        "high": None,
        "n": 0,
        "method": "no interval: no examples",
    }


def test_precision_recall_and_f1_from_counts_of_right_gold_and_predicted():
    counts = np.array([3.0, 0.0, 0.0]), np.array([4.0, 2.0, 0.0]), np.array([6.0, 0.0, 0.0])
    found = {name: score(*counts).tolist() for name, score in BY_COUNTS.items()}
    assert found == {"f1": [0.6, 0.0, 0.0], "precision": [0.5, 0.0, 0.0], "recall": [0.75, 0.0, 0.0]}


def test_a_metric_is_found_by_name_or_told_with_the_nearest():
    assert find_metric("f1", BY_COUNTS) is BY_COUNTS["f1"]
    with pytest.raises(UserError) as error:
        find_metric("recal", BY_COUNTS)
    assert str(error.value) == (
        'error[E01] unknown metric "recal"; did you mean "recall"? Fix: choose from f1, precision, recall'
    )


def test_several_measures_of_the_same_examples_are_one():
    one = Statistics(np.array([[1.0], [3.0]]), (Metric("sum", lambda sums: sums[..., 0]),))
    other = Statistics(
        np.array([[1.0, 2.0], [2.0, 2.0]]),
        (
            Metric("share", lambda sums: ratio(sums[..., 0], sums[..., 1])),
            Metric("size", lambda s: s[..., 1]),
        ),
    )
    found = Statistics.join([one, other])
    assert found.rows.tolist() == [[1, 1, 2], [3, 2, 2]]
    assert found.values() == {"sum": 4, "share": 0.75, "size": 4}
    each = {metric.name: metric.score(found.rows).tolist() for metric in found.metrics}
    assert each == {"sum": [1, 3], "share": [0.5, 1], "size": [2, 2]}
