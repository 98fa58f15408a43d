import json

import numpy as np
import pytest

from llmkit.base.errors import UserError
from llmkit.metrics.score import Metric, Score, Statistics, column_ratio, find_metric, ratio


def test_ratio_of_zero_and_zero_is_zero():
    assert ratio(np.array([0.0, 3.0, 0.0]), np.array([0.0, 4.0, 5.0])).tolist() == [0.0, 0.75, 0.0]


def test_a_ratio_of_columns_is_undefined_where_asked():
    sums = np.array([[3.0, 4.0], [0.0, 0.0]])
    assert column_ratio(0, 1)(sums).tolist() == [0.75, 0.0]
    assert np.isnan(column_ratio(0, -1, undefined=np.nan)(sums)).tolist() == [False, True]


def test_ratio_broadcasts_integers():
    assert ratio(np.array([[1], [3]]), np.array([2, 4])).tolist() == [[0.5, 0.25], [1.5, 0.75]]


def test_score_without_an_interval_is_json():
    score = Score(0.0, None, None, 0, "no interval: no examples")
    assert json.loads(json.dumps(score.to_json(), allow_nan=False)) == {
        "value": 0.0,
        "low": None,
        "high": None,
        "n": 0,
        "method": "no interval: no examples",
    }


def test_an_unknown_metric_is_an_error_that_suggests_the_closest_name():
    metrics = {name: Metric(name, column_ratio(0, 1)) for name in ("f1", "precision", "recall")}
    assert find_metric("f1", metrics) is metrics["f1"]
    with pytest.raises(UserError) as error:
        find_metric("recal", metrics)
    assert str(error.value) == (
        'error[E01] unknown metric "recal"; did you mean "recall"? Fix: choose from f1, precision, recall'
    )


def test_joined_statistics_keep_every_metric():
    one = Statistics(np.array([[1.0], [3.0]]), (Metric("sum", lambda sums: sums[..., 0]),))
    other = Statistics(
        np.array([[1.0, 2.0], [2.0, 2.0]]),
        (
            Metric("share", lambda sums: ratio(sums[..., 0], sums[..., 1])),
            Metric("size", lambda s: s[..., 1]),
        ),
    )
    result = Statistics.join([one, other])
    assert result.rows.tolist() == [[1, 1, 2], [3, 2, 2]]
    assert result.values() == {"sum": 4, "share": 0.75, "size": 4}
    each = {metric.name: metric.score(result.rows).tolist() for metric in result.metrics}
    assert each == {"sum": [1, 3], "share": [0.5, 1], "size": [2, 2]}
