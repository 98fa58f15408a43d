"""A report for each task, with scores, details and errors that the task computes from made-up predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from llmkit import tasks
from llmkit.data.checks.columns import object_array
from llmkit.metrics.resampling import Resampling
from llmkit.report.report import (
    Curves,
    Data,
    Details,
    Evaluation,
    LengthBin,
    Lengths,
    Report,
    SplitCounts,
    Step,
)
from llmkit.report.wording import Wording
from llmkit.text.words import split_words

__all__ = ["MADE", "get_wording", "make_report"]

COUNT = 24
TEXTS = [
    "这部电影的前半部分很好看。",
    "A film so earnest that one wants to like it.",
    "Angela Merkel met Sony in Paris .",
]


@dataclass(frozen=True)
class Made:
    """Rows of a test set with references and predictions, some of them wrong."""

    options: dict[str, Any]
    rows: dict[str, Any]
    references: dict[str, Any]
    predictions: dict[str, Any]
    labels: tuple[str, ...] = ()
    tuned: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def make_report(name: str) -> Report:
    """Make the report of a task."""
    made = MADE[name]()
    task = tasks.load({"name": name, **made.options}, made.tuned)
    sheet = task.score(made.references, made.predictions, made.labels, resampling=Resampling(resamples=100))
    values = task.score(made.references, made.predictions, made.labels, resampling=None).values
    records = task.records(made.rows, made.predictions, made.labels, made.references)
    placed = [{"place": f"data/test.jsonl:{n}", **record} for n, record in enumerate(records, 1)]
    return Report(
        wording=task.spec.wording,
        name=name,
        run="runs/made",
        task=name,
        scores=sheet.scores,
        headline=sheet.headline,
        details=Details.from_json(sheet.details),
        errors=task.worst_errors(placed),
        baselines={
            "majority": {metric: replace(score, value=0.25) for metric, score in sheet.scores.items()}
        },
        curves=Curves(
            steps=[Step(1, 0.9, 1e-3, 1.0)],
            evaluations=[Evaluation(step, values) for step in (1, 2)],
            best_step=2,
        ),
        data=Data({"test": SplitCounts(COUNT, made.counts)}),
        lengths=Lengths(
            max_length=32,
            bins=[LengthBin(0, 8, COUNT)],
            mean=5.0,
            longest=7,
            cut_examples=0,
            cut_tokens_share=0.0,
            unknown_tokens_share=0.0,
        ),
    )


def get_wording(name: str) -> Wording:
    """Return the words of the report for a task."""
    return tasks.load({"name": name}).spec.wording


def _texts(*names: str) -> dict[str, Any]:
    return {
        name: [TEXTS[(number + shift) % 3] for number in range(COUNT)] for shift, name in enumerate(names)
    }


def _classes(*names: str, labels: tuple[str, ...] = ("neutral", "积极", "negative"), **options: Any) -> Made:
    rng, size = np.random.default_rng(0), len(labels)
    probabilities = rng.dirichlet(np.ones(size), COUNT).astype(np.float32)
    references = rng.integers(0, size, COUNT)
    predictions = {
        "prediction": probabilities.argmax(-1),
        "probabilities": probabilities,
        "loss": rng.random(COUNT),
        "brier": rng.random(COUNT),
    }
    counts = {name: int((references == number).sum()) for number, name in enumerate(labels)}
    return Made(options, _texts(*names), {"labels": references}, predictions, labels, counts=counts)


def _relations() -> Made:
    labels = ("Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)", "Other", "地点(e1,e2)")
    made = _classes("text", labels=labels)
    made.rows["text"] = ["<e1>Ann</e1> 在 <e2>北京</e2> 工作。"] * COUNT
    return made


def _numbers(*names: str) -> Made:
    rng = np.random.default_rng(0)
    references = (rng.integers(0, 51, COUNT) / 10).astype(np.float32)
    predicted = (references / 2 + rng.random(COUNT)).astype(np.float32)
    return Made(
        {},
        _texts(*names),
        {"labels": references},
        {"prediction": predicted, "loss": (references - predicted) ** 2},
    )


def _label_sets() -> Made:
    rng, labels = np.random.default_rng(0), ("体育", "news", "never")
    probabilities, thresholds = rng.random((COUNT, 3)), [0.375, 0.5, 0.625]
    references = (rng.random((COUNT, 3)) < [0.5, 0.5, 0]).astype(np.float32)
    predictions = {
        "prediction": probabilities >= thresholds,
        "probabilities": probabilities,
        "loss": rng.random(COUNT),
    }
    counts = dict(zip(labels, references.sum(0, dtype=int).tolist(), strict=True))
    tuned = {"thresholds": thresholds}
    return Made({}, _texts("text"), {"labels": references}, predictions, labels, tuned, counts)


def _entities() -> Made:
    rng, labels = np.random.default_rng(0), ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    rows = _texts("text")
    rows["offsets"] = [split_words(text) for text in rows["text"]]
    rows["tokens"] = [
        [text[start:end] for start, end in spans]
        for text, spans in zip(rows["text"], rows["offsets"], strict=True)
    ]
    lengths = [len(tokens) for tokens in rows["tokens"]]
    tags, predicted = (object_array(rng.integers(0, 5, length) for length in lengths) for _ in range(2))
    predictions = {
        "tags": predicted,
        "probabilities": object_array(rng.random(length) for length in lengths),
        "loss": rng.random(COUNT),
        "words": np.array(lengths),
    }
    return Made({}, rows, {"tags": tags}, predictions, labels, counts={"LOC": 12, "PER": 15})


def _questions() -> Made:
    context = "Paris is in France. 柏林在德国。"
    right = [(f"Paris {number}",) if number % 3 else () for number in range(COUNT)]
    rows = {
        "question": [f"Where is it, {number}? 在哪里?" for number in range(COUNT)],
        "context": [context] * COUNT,
    }
    references = {"answers": object_array(right), "groups": np.arange(COUNT) // 4}
    texts = ("", "France", "Paris", "Paris")
    predictions = {
        "texts": object_array(texts[number % 4] for number in range(COUNT)),
        "spans": object_array([SimpleNamespace(start=0, end=5, probability=0.875)] for _ in range(COUNT)),
        "null_probability": np.full(COUNT, 0.25),
        "null_difference": np.zeros(COUNT),
        "loss": np.ones(COUNT),
        "windows": np.ones(COUNT),
    }
    return Made(
        {"unanswerable": True},
        rows,
        references,
        predictions,
        tuned={"null_threshold": -1.25},
        counts={"answerable": 16, "no answer": 8},
    )


def _running_text(*columns: str) -> Made:
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, 30, COUNT)
    documents = np.arange(COUNT) // 2
    references = {"documents": documents, "last": np.arange(COUNT) % 2, "bytes": 4 * tokens}
    costs = {"nats": 3 * tokens * rng.random(COUNT), "tokens": tokens, "hits": tokens // 4}
    return Made({}, _texts("text"), references, {name: costs[name] for name in columns})


def _generated(source: str, texts: tuple[str, ...]) -> Made:
    rows = {source: _texts("text")["text"]}
    right = [("Angela Merkel traf Sony in Paris .", "Merkel traf Sony .")[: 1 + n % 2] for n in range(COUNT)]
    predictions = {
        "texts": object_array(texts[number % len(texts)] for number in range(COUNT)),
        "probability": np.full(COUNT, 0.75),
        "nats": np.full(COUNT, 3.5),
        "tokens": np.full(COUNT, 7),
    }
    return Made({}, rows, {"texts": object_array(right)}, predictions)


TEXTS_DE = ("Angela Merkel traf Sony in Paris .", "Sony traf Merkel in Berlin .", "")


def _chat() -> Made:
    made = _generated("prompt", TEXTS_DE)
    turns = [
        [{"role": "user", "content": text}, {"role": "assistant", "content": "?"}]
        for text in made.rows["prompt"]
    ]
    return replace(made, rows={**made.rows, "messages": turns})


def _pairs() -> Made:
    rng = np.random.default_rng(0)
    predictions = {
        "now": -30 * rng.random((COUNT, 2)),
        "before": np.full((COUNT, 2), -20.0),
        "tokens": rng.integers(5, 30, (COUNT, 2)),
    }
    return Made({}, _texts("prompt", "chosen", "rejected"), {}, predictions)


def _code() -> Made:
    made = _chat()
    verdicts = object_array(("failed", "timeout", "passed")[number % 3] for number in range(COUNT))
    details = object_array("" for _ in range(COUNT))
    return replace(made, predictions={**made.predictions, "verdicts": verdicts, "details": details})


MADE: dict[str, Callable[[], Made]] = {
    "chat": _chat,
    "classification": lambda: _classes("text"),
    "code": _code,
    "clm": lambda: _running_text("nats", "tokens"),
    "dpo": _pairs,
    "extractive_qa": _questions,
    "mlm": lambda: _running_text("nats", "tokens", "hits"),
    "multi_label": _label_sets,
    "pair_classification": lambda: _classes("text", "text_pair"),
    "pair_regression": lambda: _numbers("text", "text_pair"),
    "regression": lambda: _numbers("text"),
    "relation_extraction": _relations,
    "summarization": lambda: _generated("document", TEXTS_DE),
    "token_classification": _entities,
    "translation": lambda: _generated("source", TEXTS_DE),
}
