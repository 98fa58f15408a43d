"""Text classification: one label a text (sentiment, topic, spam ...).

Shapes: B examples, C classes, K = min(C, 5) best classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from llmkit.data import checks, splits
from llmkit.data.corpus import Corpus
from llmkit.data.encode import Features, texts_to_ids
from llmkit.errors import DataError, raise_if
from llmkit.metrics import calibration, classification, intervals
from llmkit.metrics.paired import Difference
from llmkit.recipe.schema import Data, Evaluate, Section
from llmkit.tasks._task import Arrays, Examples, Sheet

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["TASK", "Classification", "ClassificationOptions"]

HEADLINE = ("accuracy", "f1", "mcc")
BEST = 5  # classes whose probability is kept for each example


class ClassificationOptions(Section):
    """Task options of classification."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target spread evenly over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: each class weighs the same in the loss, however rare it is."""


class Classification:
    """The classification task; see `_task.Task` for what each part is."""

    Options = ClassificationOptions
    auto_class = "AutoModelForSequenceClassification"
    columns: Mapping[str, str] = {"text": "text", "label": "label"}
    metrics: Sequence[str] = tuple(classification.METRICS)

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        corpus, problems, notes = checks.check_texts(corpus, "text", data)
        names, unnamed = checks.label_names(corpus, "label", data, known=labels)
        raise_if([*problems, *unnamed], DataError)
        corpus, dropped = checks.drop_unknown_labels(corpus, "label", names, data)
        if labels is None:
            corpus, repeated, said = checks.check_duplicates(corpus, "text", "label", data)
            raise_if(repeated, DataError)
            corpus = splits.complete(corpus, label_column="label", text_column="text", data=data, seed=seed)
            dropped = [*dropped, *said]
        near, alike = checks.near_duplicates(corpus, "text")
        golds = {
            part: {"labels": checks.label_ids(rows, "label", names)} for part, rows in corpus.parts.items()
        }
        return Examples(corpus, names, golds, (*notes, *dropped, *alike), near)

    def encode(
        self, rows: Mapping[str, Sequence[Any]], tokenizer: Any, *, max_length: int, truncation: bool
    ) -> Features:
        return texts_to_ids(tokenizer, rows["text"], max_length=max_length, truncation=truncation)

    def loss(
        self, options: ClassificationOptions, golds: Arrays, classes: int
    ) -> Callable[[nn.Module, dict[str, Tensor]], tuple[Tensor, Tensor]]:
        import torch

        from llmkit.engine import losses

        weights_C = (
            torch.from_numpy(balanced(golds["labels"], classes))
            if options.class_weights == "balanced"
            else None
        )

        def of_batch(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            logits_BC = _logits(model, batch)
            weights = None if weights_C is None else weights_C.to(logits_BC.device)
            return losses.classification(
                logits_BC, batch["labels"], weights_C=weights, label_smoothing=options.label_smoothing
            )

        return of_batch

    def decode(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        logits_BC = _logits(model, batch).float()
        log_probs_BC = logits_BC.log_softmax(-1)
        probs_BC = log_probs_BC.exp()
        probs_BK, classes_BK = probs_BC.topk(min(BEST, probs_BC.shape[-1]))
        decoded = {"prediction": classes_BK[:, 0], "classes": classes_BK, "probabilities": probs_BK}
        if "labels" in batch:
            labels_B1 = batch["labels"][:, None]
            gold_B = probs_BC.gather(1, labels_B1)[:, 0]
            decoded["loss"] = -log_probs_BC.gather(1, labels_B1)[:, 0]
            decoded["brier"] = probs_BC.square().sum(-1) - 2 * gold_B + 1
        else:  # predict: the user may want the logits themselves
            decoded["logits"] = logits_BC
        return decoded

    def values(self, golds: Arrays, outputs: Arrays, classes: int) -> dict[str, float]:
        sums = classification.sample(golds["labels"], outputs["prediction"], classes).total
        scores = {name: float(metric.score(sums)) for name, metric in classification.METRICS.items()}
        return {"loss": float(outputs["loss"].mean(dtype=np.float64)), **scores}

    def score(
        self, golds: Arrays, outputs: Arrays, labels: Sequence[str], *, evaluate: Evaluate, seed: int
    ) -> Sheet:
        how: dict[str, Any] = {
            "confidence": evaluate.confidence,
            "resamples": evaluate.resamples,
            "seed": seed,
        }
        gold, predicted = golds["labels"], outputs["prediction"]
        scores = classification.scores(gold, predicted, labels, **how)
        details: dict[str, Any] = {
            "per_class": _per_class(gold, predicted, labels, evaluate.confidence),
            "confusion": _confusion(gold, predicted, labels, evaluate.confidence),
        }
        if "loss" in outputs:
            scores["loss"] = intervals.mean(outputs["loss"], **how)
            details["calibration"] = _calibration(gold, outputs, how)
        return Sheet(scores, tuple(evaluate.metrics) or HEADLINE, details)

    def baselines(self, examples: Examples, part: str, seed: int) -> dict[str, Arrays]:
        from llmkit.models import baselines

        train, judged = examples.corpus.parts["train"], examples.corpus.parts[part]
        labels = examples.golds["train"]["labels"]
        return {
            "majority": {"prediction": baselines.majority(labels, len(judged))},
            "tfidf": {
                "prediction": baselines.tfidf(train.column("text"), labels, judged.column("text"), seed=seed)
            },
        }

    def difference(
        self,
        golds: Arrays,
        first: Arrays,
        second: Arrays,
        metric: str,
        labels: Sequence[str],
        *,
        evaluate: Evaluate,
        seed: int,
    ) -> Difference:
        return classification.difference(
            golds["labels"],
            first["prediction"],
            second["prediction"],
            labels,
            metric,
            confidence=evaluate.confidence,
            resamples=evaluate.resamples,
            seed=seed,
        )

    def records(
        self,
        rows: Mapping[str, Sequence[Any]],
        outputs: Arrays,
        labels: Sequence[str],
        golds: Arrays | None = None,
    ) -> Iterator[dict[str, Any]]:
        for number, (classes, probabilities) in enumerate(
            zip(outputs["classes"], outputs["probabilities"], strict=True)
        ):
            record: dict[str, Any] = {"text": rows["text"][number]}
            if golds is not None:
                record["label"] = labels[int(golds["labels"][number])]
            record["prediction"] = labels[int(classes[0])]
            record["probability"] = float(probabilities[0])
            record["probabilities"] = {
                labels[int(c)]: float(p) for c, p in zip(classes, probabilities, strict=True)
            }
            if "logits" in outputs:
                record["logits"] = {
                    name: float(x) for name, x in zip(labels, outputs["logits"][number], strict=True)
                }
            yield record

    def from_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        numbers = {name: number for number, name in enumerate(labels)}
        golds, predictions = (
            np.array([numbers[record[key]] for record in records], np.int64)
            for key in ("label", "prediction")
        )
        return {"labels": golds}, {"prediction": predictions}

    def worst(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        wrong = [record for record in records if record["label"] != record["prediction"]]
        wrong.sort(key=lambda record: -record["probability"])
        kept = ("text", "label", "prediction", "probability", "place")
        return [{key: record[key] for key in kept} for record in wrong[:20]]


def balanced(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Weight of each class: examples / (classes * examples of the class), as scikit-learn's "balanced"."""
    counts = np.bincount(labels, minlength=classes)
    weights: NDArray[np.float32] = (len(labels) / (classes * np.maximum(counts, 1))).astype(np.float32)
    return weights


def _logits(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    logits: Tensor = model(**{name: value for name, value in batch.items() if name != "labels"}).logits
    return logits


def _per_class(
    gold: NDArray[np.int64], predicted: NDArray[np.int64], labels: Sequence[str], confidence: float
) -> dict[str, Any]:
    rows = classification.per_class(gold, predicted, labels, confidence=confidence)
    return {
        name: {**{key: score.to_json() for key, score in row.items()}, "support": row["recall"].n}
        for name, row in rows.items()
    }


def _confusion(
    gold: NDArray[np.int64], predicted: NDArray[np.int64], labels: Sequence[str], confidence: float
) -> dict[str, Any]:
    """Counts (C, C), gold rows and predicted columns, and Wilson intervals of each cell's share of its row."""
    counts = classification.confusion(gold, predicted, len(labels)).tolist()
    return {
        "labels": list(labels),
        "counts": counts,
        "intervals": [[intervals.wilson(n, sum(row), confidence) for n in row] for row in counts],
    }


def _calibration(gold: NDArray[np.int64], outputs: Arrays, how: dict[str, Any]) -> dict[str, Any]:
    confidence, correct = outputs["probabilities"][:, 0], outputs["prediction"] == gold
    return {
        "ece": calibration.ece(confidence, correct, **how).to_json(),
        "brier": intervals.mean(outputs["brier"], **how).to_json(),
        "bins": [asdict(row) for row in calibration.reliability(confidence, correct)],
    }


TASK = Classification()
