"""Extractive question answering: exact match and F1 with intervals, and the threshold for "no answer".

    scores([["Eiffel Tower"], []], ["the Eiffel Tower", ""], "squad_v2")["f1"]     # 1.0, with its interval

The statistics of a question are (exact match, F1, 1). Questions on one passage are not independent, so pass `groups`:
the bootstrap then resamples whole passages (or articles), and the paired test swaps whole passages. The rules of the
data sets are in `answer_matching`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from llmkit.metrics import paired
from llmkit.metrics.intervals import measure
from llmkit.metrics.resampling import DEFAULT_RESAMPLING, Resampling
from llmkit.metrics.score import Floats, Ints, Metric, Score, column_ratio, find_metric
from llmkit.metrics.tasks.answer_matching import RULES, Rules, has_answer

__all__ = ["METRICS", "best_threshold", "difference", "match_answers", "metric_names", "scores"]


_exact_match, _f1 = column_ratio(0, 2), column_ratio(1, 2)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("exact_match", _exact_match, share=True),
        Metric("f1", _f1),
        # For questions with and without an answer only: HasAns_ and NoAns_ of SQuAD v2.0.
        Metric("has_answer_exact_match", _exact_match, share=True),
        Metric("has_answer_f1", _f1),
        Metric("no_answer_accuracy", _exact_match, share=True),
    )
}
FARTHEST = 1e12  # larger score differences count as infinite; keeps the threshold a number for JSON
SCRIPTS: dict[Rules, str] = {"squad": "SQuAD v1.1", "squad_v2": "SQuAD v2.0", "cmrc": "CMRC 2018"}


def metric_names(rules: Rules) -> tuple[str, ...]:
    """Return the metrics of these rules; only SQuAD v2.0 has questions without an answer."""
    return tuple(METRICS) if rules == "squad_v2" else ("exact_match", "f1")


def match_answers(references: Sequence[Sequence[str]], predictions: Sequence[str], rules: Rules) -> Floats:
    """Match the predicted answer of each question with its reference answers.

    Returns:
        The statistics (exact match, F1, 1) of each question, (N, 3).
    """
    match = RULES[rules]
    matches = [
        match(prediction, answers) for prediction, answers in zip(predictions, references, strict=True)
    ]
    return np.array([(each.exact, each.f1, 1) for each in matches], np.float64).reshape(-1, 3)


def scores(
    references: Sequence[Sequence[str]],
    predictions: Sequence[str],
    rules: Rules = "squad",
    *,
    groups: Ints | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> dict[str, Score]:
    """Compute all metrics of these rules by name.

    Args:
        references: Reference answers of each question, (N,); none if it has no answer.
        predictions: Predicted answers, (N,); "" for no answer.
        rules: The rules of the data set.
        groups: Passage of each question, (N,), any number per passage.
        resampling: Confidence, number of resamples and seed.

    Returns:
        Scores by name. The scores of questions with and without an answer are present only if there are such questions,
        as in the official script. n is the number of questions, also with groups.
    """
    rows = match_answers(references, predictions, rules)
    results = {}
    for name in metric_names(rules):
        chosen = _questions_of(name, references)
        if chosen.any() or not name.startswith(("has_answer", "no_answer")):
            chosen_groups = None if groups is None else np.asarray(groups)[chosen]
            score = measure(rows[chosen], [METRICS[name]], groups=chosen_groups, resampling=resampling)[name]
            method = f"{score.method}; {SCRIPTS[rules]} rules, whose script prints 100 times this"
            results[name] = replace(score, method=method)
    return results


def difference(
    references: Sequence[Sequence[str]],
    first: Sequence[str],
    second: Sequence[str],
    rules: Rules = "squad",
    metric: str = "f1",
    *,
    groups: Ints | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> paired.Difference:
    """Compute metric(first) - metric(second) for the answers of two systems to the same questions.

    Args:
        references: Reference answers of each question, (N,); none if it has no answer.
        first: Answers of the first system, (N,).
        second: Answers of the second system, (N,).
        rules: The rules of the data set.
        metric: Name of the metric; UserError E01 if there is none.
        groups: Passage of each question, (N,). Interval and p-value then take a passage as one example; n is the number
            of questions.
        resampling: Confidence, number of resamples and seed.
    """
    chosen_metric, chosen = find_metric(metric, METRICS), _questions_of(metric, references)
    pairs = np.hstack([match_answers(references, answers, rules) for answers in (first, second)])[chosen]
    chosen_groups = None if groups is None else np.asarray(groups)[chosen]
    return paired.difference(pairs, chosen_metric, groups=chosen_groups, resampling=resampling)


def best_threshold(
    score_differences: Floats, answerable: NDArray[np.bool_], correctness: Floats
) -> tuple[float, float]:
    """Find the threshold of the null score with the best mean score.

    A question counts as unanswerable if its score difference is above the threshold. One sort and a running sum, as
    find_best_thresh of evaluate-v2.0.py. Unlike there, questions with equal differences go together, the threshold lies
    midway to the next question instead of on it, and never to answer is a threshold 1 below all differences instead of
    0. Of equally good thresholds the lowest is taken.

    Args:
        score_differences: Null score minus score of the best span, (N,); infinite without any span.
        answerable: Whether the question has an answer, (N,), and so whether "" scores 0 or 1.
        correctness: Exact match or F1 of the best span, (N,).

    Returns:
        The threshold, and the mean score in [0, 1] that it gives.
    """
    if len(score_differences) == 0:
        return 0.0, 0.0
    order = np.argsort(score_differences, kind="stable")
    ordered = np.clip(score_differences, -FARTHEST, FARTHEST)[order]
    unanswerable = ~np.asarray(answerable, bool)
    gains = (np.asarray(correctness, np.float64) - unanswerable)[order]
    totals = np.count_nonzero(unanswerable) + np.concatenate([[0.0], np.cumsum(gains)])
    cuts = np.concatenate([[True], ordered[1:] > ordered[:-1], [True]])  # only between different values
    best = int(np.argmax(np.where(cuts, np.round(totals, 9), -np.inf)))  # rounded, so that equal sums tie
    padded = np.concatenate([[ordered[0] - 2], ordered, [ordered[-1] + 2]])
    low, high = float(padded[best]), float(padded[best + 1])
    middle = low + (high - low) / 2
    return middle if middle < high else low, float(totals[best]) / len(
        ordered
    )  # low if they are neighbouring floats


def _questions_of(name: str, references: Sequence[Sequence[str]]) -> NDArray[np.bool_]:
    """Return which questions (N,) a metric counts: those with an answer, those without, or all."""
    answerable = np.array([has_answer(answers) for answers in references], bool)
    if name.startswith("has_answer"):
        return answerable
    return ~answerable if name.startswith("no_answer") else np.ones(len(references), bool)
