from __future__ import annotations

import numpy as np
import pytest

from llmkit.metrics.counts import (
    BY_COUNTS,
    f1_from_jaccard,
    macro_average,
    micro_average,
    precision_recall_f1,
)
from llmkit.metrics.intervals import wilson, wilson_score
from llmkit.metrics.score import Floats, Score

# Three classes: correctly predicted, in the reference, predicted. The second is never the reference, the third never
# occurs.
SUMS = np.array([3.0, 0.0, 0.0, 4.0, 0.0, 0.0, 6.0, 2.0, 0.0])


def split_counts(sums: Floats) -> tuple[Floats, Floats, Floats]:
    correct, reference, predicted = np.split(sums, 3, axis=-1)
    return correct, reference, predicted


def test_precision_recall_and_f1_of_counts_are_0_without_a_denominator() -> None:
    counts = np.array([3.0, 0.0, 0.0]), np.array([4.0, 2.0, 0.0]), np.array([6.0, 0.0, 0.0])
    values = {name: score(*counts).tolist() for name, score in BY_COUNTS.items()}
    assert values == {"f1": [0.6, 0.0, 0.0], "precision": [0.5, 0.0, 0.0], "recall": [0.75, 0.0, 0.0]}


def test_micro_average_sums_the_counts_of_all_classes() -> None:
    metric = micro_average("f1", split_counts, name="f1_micro", note="a note")
    assert (metric.name, metric.note, float(metric.score(SUMS))) == ("f1_micro", "a note", 6 / 12)


@pytest.mark.parametrize(("over", "expected"), [("occurring", 0.3), ("in_reference", 0.6), ("all", 0.2)])
def test_macro_average_is_over_the_chosen_classes(over, expected) -> None:
    metric = macro_average("f1", split_counts, over=over)
    assert (metric.name, float(metric.score(SUMS))) == ("f1", pytest.approx(expected, abs=1e-12))
    both = np.stack([SUMS, np.zeros(9)])
    assert metric.score(both).tolist() == [
        float(metric.score(SUMS)),
        0.0,
    ]  # any leading axes; 0 without examples


def test_scores_of_one_class_are_wilsons_with_their_denominators() -> None:
    scores = precision_recall_f1(30, 40, 50, 0.9)
    assert scores["precision"] == wilson_score(30, 50, 0.9)
    assert scores["recall"] == wilson_score(30, 40, 0.9)
    low, high = wilson(30, 60, 0.9)  # of the Jaccard index: 60 examples are in the reference or predicted
    assert low is not None and high is not None
    assert (scores["f1"].value, scores["f1"].n) == (60 / 90, 60)
    assert scores["f1"].low == pytest.approx(2 * low / (1 + low), abs=1e-12)
    assert scores["f1"].high == pytest.approx(2 * high / (1 + high), abs=1e-12)


def test_a_class_that_never_occurs_has_no_interval() -> None:
    for score in precision_recall_f1(0, 0, 0).values():
        assert (score.value, score.low, score.n) == (0.0, None, 0)


def test_an_f1_of_a_jaccard_index_without_interval_has_none_either() -> None:
    jaccard = Score(0.0, None, None, 0, "no interval: no entities")
    assert f1_from_jaccard(jaccard, 0.0, "unused") is jaccard
