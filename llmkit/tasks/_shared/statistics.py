"""Scores of tasks whose metrics are sums of per-example statistics."""

from __future__ import annotations

import numpy as np

from llmkit.metrics import paired
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Metric, Statistics, find_metric

__all__ = ["get_metric", "subtract"]


def get_metric(statistics: Statistics, name: str) -> Metric:
    """Return a metric of the statistics by name."""
    return find_metric(name, {metric.name: metric for metric in statistics.metrics})


def subtract(first: Statistics, second: Statistics, metric: str, resampling: Resampling) -> Difference:
    """Return the score of the first statistics minus that of the second, paired by example."""
    rows = np.hstack([first.rows, second.rows])
    return paired.difference(rows, get_metric(first, metric), resampling=resampling)
