"""How each metric of the registry is computed from predictions and references (see `registry.Entry.score`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from llmkit.base.errors import UserError
from llmkit.metrics.intervals import Sample, measure
from llmkit.metrics.score import Floats, Ints, Metric, Score, Statistics
from llmkit.metrics.tasks import classification, entities, extractive_qa, language_model, regression, relation
from llmkit.metrics.text import edits, ngram, rouge

if TYPE_CHECKING:
    from llmkit.metrics.settings import MetricSettings, Scorer
    from llmkit.metrics.tasks.answer_matching import Rules

__all__ = ["SCORERS"]

MOST_COUNTS = (
    10_000_000  # class counts; there are three such arrays (8 bytes a count), copied while scoring resamples
)


def _measure(rows: Floats | Sample, metrics: Iterable[Metric], settings: MetricSettings) -> dict[str, Score]:
    """Compute metrics with intervals; each method string contains the metric's note, also without an interval."""
    metrics = list(metrics)
    scores = measure(rows, metrics, resampling=settings.resampling)
    for metric in metrics:
        score = scores[metric.name]
        if metric.note not in score.method:
            scores[metric.name] = replace(score, method=f"{score.method}; {metric.note}")
    return scores


def _encode_labels(predictions: Sequence[str], references: Sequence[str]) -> tuple[Ints, Ints, list[str]]:
    """Return references and predictions as class numbers, and the sorted names of all classes of either side."""
    names, ids = np.unique(np.array([*references, *predictions], dtype=object), return_inverse=True)
    reference_ids, predicted_ids = np.split(ids.astype(np.int64), [len(references)])
    return reference_ids, predicted_ids, names.tolist()


def _by_class(name: str) -> Scorer:
    """Make the scorer of a classification metric; UserError E07 if the class counts would need about 1 GB."""

    def score(
        predictions: Sequence[str], references: Sequence[str], settings: MetricSettings
    ) -> dict[str, Score]:
        reference_ids, predicted_ids, names = _encode_labels(predictions, references)
        examples, classes = len(reference_ids), len(names)
        if (
            min(examples, classes**2) * classes > MOST_COUNTS
        ):  # one row of class counts per distinct pair of labels
            message = f"{classes:,} different labels in {examples:,} examples are too many to average over"
            raise UserError("E07", f"--metric {name}", message, "use accuracy, or a metric of texts")
        cells = classification.count_cells(reference_ids, predicted_ids, classes)
        return _measure(cells, [classification.get_metric(name)], settings)

    return score


def _accuracy(
    predictions: Sequence[str], references: Sequence[str], settings: MetricSettings
) -> dict[str, Score]:
    """Accuracy as a task of two classes (correct or not), so that any number of different labels is possible."""
    correct = np.array([ours == label for ours, label in zip(predictions, references, strict=True)], np.int64)
    cells = classification.count_cells(np.ones_like(correct), correct, 2)
    return _measure(cells, [classification.get_metric("accuracy")], settings)


def _semeval2010(
    predictions: Sequence[str], references: Sequence[str], settings: MetricSettings
) -> dict[str, Score]:
    reference_ids, predicted_ids, names = _encode_labels(predictions, references)
    negative = "Other" if "Other" in names else None
    scores = relation.scores(
        reference_ids, predicted_ids, names, negative=negative, resampling=settings.resampling
    )
    return {"f1": scores["f1"]}


def _numbers(name: str) -> Scorer:
    def score(
        predictions: Sequence[float], references: Sequence[float], settings: MetricSettings
    ) -> dict[str, Score]:
        correct, predicted = np.array(references, np.float64), np.array(predictions, np.float64)
        return {name: regression.scores(correct, predicted, resampling=settings.resampling)[name]}

    return score


def _answers(rules: Rules) -> Scorer:
    """Make the scorer of answers; UserError E07 for a question without reference answer where rules need one."""

    def score(
        predictions: Sequence[str], references: Sequence[Sequence[str]], settings: MetricSettings
    ) -> dict[str, Score]:
        if rules != "squad_v2" and not all(references):
            message = f"question {references.index([]) + 1:,} of the references has no reference answer"
            raise UserError("E07", f"--metric {rules}", message, "use squad_v2, which has rules for that")
        scores = extractive_qa.scores(
            references, predictions, rules, groups=settings.groups, resampling=settings.resampling
        )
        return {key: scores[key] for key in ("exact_match", "f1")}

    return score


def _entities(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], settings: MetricSettings
) -> dict[str, Score]:
    types = sorted({tag[2:] for row in (*references, *predictions) for tag in row if tag != "O"})
    names = ["O", *(f"{prefix}-{name}" for name in types for prefix in "BI")]
    ids = {name: number for number, name in enumerate(names)}  # the label ids that `entities` expects
    scores = entities.scores(
        [[ids[tag] for tag in row] for row in references],
        [[ids[tag] for tag in row] for row in predictions],
        types,
        strict=settings.strict,
        resampling=settings.resampling,
    )
    return {key: scores[key] for key in ("precision", "recall", "f1")}


def _statistics(
    compute: Callable[[Sequence[Any], Sequence[Any], MetricSettings], Statistics], *keys: str
) -> Scorer:
    """Make the scorer of a metric that comes as `Statistics`, of which only some keys may be wanted."""

    def score(
        predictions: Sequence[Any], references: Sequence[Any], settings: MetricSettings
    ) -> dict[str, Score]:
        statistics = compute(predictions, references, settings)
        metrics = [metric for metric in statistics.metrics if not keys or metric.name in keys]
        return _measure(statistics.rows, metrics, settings)

    return score


SCORERS: Mapping[str, Scorer] = {
    "accuracy": _accuracy,
    "f1": _by_class("f1"),
    "precision": _by_class("precision"),
    "recall": _by_class("recall"),
    "mcc": _by_class("mcc"),
    "semeval2010": _semeval2010,
    "pearson": _numbers("pearson"),
    "spearman": _numbers("spearman"),
    "mse": _numbers("mse"),
    "bleu": _statistics(lambda p, r, s: ngram.bleu(p, r, language=s.language, tokenizer=s.tokenizer)),
    "chrf": _statistics(lambda p, r, _settings: ngram.chrf(p, r)),
    "chrf++": _statistics(lambda p, r, _settings: ngram.chrf(p, r, word_order=2)),
    "ter": _statistics(lambda p, r, _settings: ngram.ter(p, r)),
    "rouge": _statistics(
        lambda p, r, s: rouge.rouge(p, r, language=s.language, tokenizer=s.tokenizer, stemmer=s.stemmer)
    ),
    "wer": _statistics(lambda p, r, _settings: edits.wer(p, r)),
    "cer": _statistics(lambda p, r, _settings: edits.cer(p, r)),
    "squad": _answers("squad"),
    "squad_v2": _answers("squad_v2"),
    "cmrc": _answers("cmrc"),
    "entities": _entities,
    "perplexity": _statistics(
        lambda p, r, _settings: language_model.from_log_probabilities(p, r), "perplexity"
    ),
    "bits_per_byte": _statistics(
        lambda p, r, _settings: language_model.from_log_probabilities(p, r), "bits_per_byte"
    ),
}
