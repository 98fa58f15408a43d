import json

import numpy as np

from llmkit.metrics.score import Score, ratio


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
