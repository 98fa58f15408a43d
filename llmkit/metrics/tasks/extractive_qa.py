"""Extractive question answering: exact match and F1 with intervals, and the threshold for "no answer".

    scores([["Eiffel Tower"], []], ["the Eiffel Tower", ""], "squad_v2")["f1"]     # 1.0, with its interval

A question's statistics are (exact, F1, 1). Questions on one passage stand or fall together, so give `groups`:
the bootstrap then draws whole passages (or articles), and the paired test swaps whole passages. The rules
themselves: see `answers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from llmkit.metrics import paired
from llmkit.metrics.intervals import measure
from llmkit.metrics.resampling import DEFAULT_RESAMPLING, Resampling
from llmkit.metrics.score import Floats, Ints, Metric, Score, find_metric, ratio
from llmkit.metrics.tasks.answer_matching import RULES, Rules, has_answer

__all__ = ["METRICS", "best_threshold", "difference", "match_answers", "metric_names", "scores"]


def _exact_match(sums: Floats) -> Floats:
    return ratio(sums[..., 0], sums[..., 2])


def _f1(sums: Floats) -> Floats:
    return ratio(sums[..., 1], sums[..., 2])


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("exact_match", _exact_match, share=True),
        Metric("f1", _f1),
        # Of the questions that have an answer, and of those that have none; SQuAD v2.0's HasAns_ and NoAns_.
        Metric("has_answer_exact_match", _exact_match, share=True),
        Metric("has_answer_f1", _f1),
        Metric("no_answer_accuracy", _exact_match, share=True),
    )
}
FARTHEST = 1e12  # score differences beyond are as good as infinite; keeps the threshold a number for JSON
SCRIPTS: dict[Rules, str] = {"squad": "SQuAD v1.1", "squad_v2": "SQuAD v2.0", "cmrc": "CMRC 2018"}


def metric_names(rules: Rules) -> tuple[str, ...]:
    """The metrics of these rules: only SQuAD v2.0 has questions without an answer."""
    return tuple(METRICS) if rules == "squad_v2" else ("exact_match", "f1")


def match_answers(golds: Sequence[Sequence[str]], predictions: Sequence[str], rules: Rules) -> Floats:
    """(exact, F1, 1) of each question, (N, 3), from its gold answers and the predicted one."""
    match = RULES[rules]
    found = [match(prediction, gold) for prediction, gold in zip(predictions, golds, strict=True)]
    return np.array([(each.exact, each.f1, 1) for each in found], np.float64).reshape(-1, 3)


def scores(
    golds: Sequence[Sequence[str]],
    predictions: Sequence[str],
    rules: Rules = "squad",
    *,
    groups: Ints | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> dict[str, Score]:
    """All metrics of these rules by name, from gold answers (N, any number each) and predictions (N).

    groups (N,) numbers the passage of each question; n counts questions all the same. The scores of questions
    with and without an answer are only there where there are such questions, as in the official script.
    """
    rows, parts = match_answers(golds, predictions, rules), _parts(golds)
    found = {}
    for name in metric_names(rules):
        inside = parts[_part(name)]
        if _part(name) == "all" or inside.any():
            own = None if groups is None else np.asarray(groups)[inside]
            score = measure(rows[inside], [METRICS[name]], groups=own, resampling=resampling)[name]
            method = f"{score.method}; {SCRIPTS[rules]} rules, whose script prints 100 times this"
            found[name] = replace(score, method=method)
    return found


def difference(
    golds: Sequence[Sequence[str]],
    first: Sequence[str],
    second: Sequence[str],
    rules: Rules = "squad",
    metric: str = "f1",
    *,
    groups: Ints | None = None,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> paired.Difference:
    """metric(first) - metric(second) for two systems' predictions (N) for the same questions.

    With groups (N,) both the interval and the p-value take a passage as one example; n counts questions.
    UserError E01 for an unknown metric.
    """
    measured, inside = find_metric(metric, METRICS), _parts(golds)[_part(metric)]
    pairs = np.hstack([match_answers(golds, answers, rules) for answers in (first, second)])[inside]
    own = None if groups is None else np.asarray(groups)[inside]
    return paired.difference(pairs, measured, groups=own, resampling=resampling)


def best_threshold(
    score_differences: Floats, answerable: NDArray[np.bool_], correctness: Floats
) -> tuple[float, float]:
    """The threshold of the null score that gives the best mean score, and that score in [0, 1].

    A question counts as unanswerable where its score difference (null score minus best span's score, (N,);
    infinite without any span) is above the threshold. correctness (N,) is what the best span scores, exact
    match or F1, and answerable (N,) says whether the question has an answer, so whether "" scores 0 or 1.

    As find_best_thresh of evaluate-v2.0.py: one sort and a running sum. Unlike there, questions with equal
    differences go together, the threshold lies midway to the next question instead of on it, and never to
    answer is a threshold 1 below all differences instead of 0. Of equally good thresholds the lowest.
    """
    if len(score_differences) == 0:
        return 0.0, 0.0
    order = np.argsort(score_differences, kind="stable")
    ordered = np.clip(score_differences, -FARTHEST, FARTHEST)[order]
    gains = (np.asarray(correctness, np.float64) - ~np.asarray(answerable, bool))[order]
    totals = np.count_nonzero(~np.asarray(answerable, bool)) + np.concatenate([[0.0], np.cumsum(gains)])
    cuts = np.concatenate([[True], ordered[1:] > ordered[:-1], [True]])  # only between different values
    best = int(np.argmax(np.where(cuts, np.round(totals, 9), -np.inf)))  # rounded: sums of equal worth tie
    padded = np.concatenate([[ordered[0] - 2], ordered, [ordered[-1] + 2]])
    return _between(float(padded[best]), float(padded[best + 1])), float(totals[best]) / len(ordered)


def _between(low: float, high: float) -> float:
    """Midway, but below `high` also where they are neighbouring floats."""
    middle = low + (high - low) / 2
    return middle if middle < high else low


def _part(name: str) -> str:
    return next((part for part in ("has_answer", "no_answer") if name.startswith(part)), "all")


def _parts(golds: Sequence[Sequence[str]]) -> dict[str, NDArray[np.bool_]]:
    """Which questions (N,) are in each part."""
    answerable = np.array([has_answer(gold) for gold in golds], bool)
    return {"all": np.ones(len(golds), bool), "has_answer": answerable, "no_answer": ~answerable}
