"""Text classification: one label a text (sentiment, topic, spam ...).

Shapes: B examples, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from llmkit.base.errors import DataError, ErrorDetail, UserError, raise_if, shorten_list, suggest
from llmkit.data import splits
from llmkit.data.checks.duplicates import check_duplicates, find_near_duplicates
from llmkit.data.checks.label_checks import check_class_labels, drop_unknown_labels
from llmkit.data.checks.labels import all_integers, encode_labels
from llmkit.data.checks.texts import check_texts
from llmkit.data.corpus import Corpus
from llmkit.data.encoding.features import Encoded
from llmkit.metrics import intervals
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Score
from llmkit.metrics.tasks import calibration, classification, ranking
from llmkit.recipe.schema import Data, Section
from llmkit.tasks._shared.baselines import classification_baselines
from llmkit.tasks._shared.texts import OverTexts, logits_of, named_classes
from llmkit.tasks.protocol import (
    Arrays,
    Examples,
    Head,
    Loss,
    Rows,
    ScoreSheet,
    TaskSpec,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Classification", "Options", "balanced", "make", "per_class_details"]

# Up to so many classes PR-AUC, whose time goes with their number, is scored without being asked for; so many
# probabilities an example are written.
RANKED = 20


class Options(Section):
    """Task options of classification."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target spread evenly over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: each class weighs the same in the loss, however rare it is."""
    positive: str | None = None
    """The class that matters when it is rare; its F1 and PR-AUC are scored (f1_positive, pr_auc)."""
    ordered: bool = False
    """The classes are steps of a scale, by number or in the order of data.labels; scores their mean error (mae)."""


def make(options: Options, tuned: Mapping[str, Any]) -> Classification:
    """The task with these options."""
    return Classification(options, tuned)


@dataclass(frozen=True)
class Classification(OverTexts):
    """One label for each text or pair; see `protocol.Task` for what each part is."""

    options: Options

    @property
    def spec(self) -> TaskSpec:
        known = classification.ORDINAL if self.options.ordered else classification.METRICS
        of_positive = ("f1_positive", "pr_auc_positive") if self.options.positive else ()
        return self.spec_with(
            (*known, "pr_auc", *of_positive),
            frozenset({"loss", "mae"}),
            baselines=classification_baselines(self.texts),
            can_tune=True,
            can_calibrate="temperature" in self.tuned,
        )

    @property
    def headline(self) -> tuple[str, ...]:
        """The scores shown first when the recipe names none."""
        if self.options.positive:
            return ("accuracy", "f1_positive", "pr_auc_positive")
        return ("accuracy", "mae", "f1") if self.options.ordered else ("accuracy", "f1", "mcc")

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        corpus, problems, notes = check_texts(corpus, self.texts, data)
        names, unnamed = check_class_labels(corpus, "label", data, model_labels=labels)
        unnamed += [*self._no_positive(names), *self._no_order(names, data.labels or labels)]
        raise_if([*problems, *unnamed], DataError)
        corpus, dropped = drop_unknown_labels(corpus, "label", names, data)
        if labels is None:
            corpus, repeated, said = check_duplicates(corpus, self.texts, "label", data)
            raise_if(repeated, DataError)
            corpus = splits.create_missing_splits(
                corpus, label_column="label", text_column=self.together, data=data, seed=seed
            )
            dropped = [*dropped, *said]
        near, alike = find_near_duplicates(corpus, self.texts)
        references = {
            part: {"labels": encode_labels(rows, "label", names)} for part, rows in corpus.splits.items()
        }
        counts = {
            split: dict(zip(names, np.bincount(own["labels"], minlength=len(names)).tolist(), strict=True))
            for split, own in references.items()
        }
        return Examples(corpus, names, references, (*notes, *dropped, *alike), near, counts)

    def _no_positive(self, names: Sequence[str]) -> list[ErrorDetail]:
        positive = self.options.positive
        if positive is None or positive in names:
            return []
        message = f'"{positive}" is none of the labels{suggest(positive, names)}'
        return [ErrorDetail("L05", "task.positive", message, f"choose among {shorten_list(names, 20)}")]

    def _no_order(self, names: Sequence[str], given: Sequence[str] | None) -> list[ErrorDetail]:
        """By name they stand in the order of the alphabet, which is no scale."""
        if not self.options.ordered or given or all_integers(names):
            return []
        message = f"true, but nothing says the order of the classes ({shorten_list(names)})"
        return [
            ErrorDetail(
                "C10", "task.ordered", message, "name them from the lowest to the highest in data.labels"
            )
        ]

    def head(self, labels: Sequence[str], references: Arrays | None = None) -> Head:
        return Head(named_classes(labels, "single_label_classification"))

    def loss(self, references: Arrays, classes: int) -> Loss:
        import torch

        from llmkit.engine import losses

        weights_C = (
            torch.from_numpy(balanced(references["labels"], classes))
            if self.options.class_weights == "balanced"
            else None
        )

        def of_batch(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            logits_BC = logits_of(model, batch)
            weights = None if weights_C is None else weights_C.to(logits_BC.device)
            return losses.classification(
                logits_BC, batch["labels"], weights_C=weights, label_smoothing=self.options.label_smoothing
            )

        return of_batch

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        logits_BC = logits_of(model, batch)
        log_probs_BC = logits_BC.log_softmax(-1)
        probs_BC = log_probs_BC.exp()
        decoded = {"prediction": probs_BC.argmax(-1), "probabilities": probs_BC}
        if "labels" in batch:
            labels_B1 = batch["labels"][:, None]
            gold_B = probs_BC.gather(1, labels_B1)[:, 0]
            decoded["loss"] = -log_probs_BC.gather(1, labels_B1)[:, 0]
            decoded["brier"] = probs_BC.square().sum(-1) - 2 * gold_B + 1
        else:  # predict: the user may want the logits themselves
            decoded["logits"] = logits_BC
        return decoded

    def tune(self, references: Arrays, predictions: Arrays) -> Mapping[str, Any]:
        return {
            "temperature": calibration.fit_temperature(predictions["probabilities"], references["labels"])
        }

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        if not calibrated:
            return outputs
        heated = calibration.apply_temperature(outputs["probabilities"], self.tuned["temperature"])
        return {**outputs, "probabilities": heated}

    def _values(self, references: Arrays, predictions: Arrays, labels: Sequence[str]) -> dict[str, float]:
        gold, predicted, probabilities = (
            references["labels"],
            predictions["prediction"],
            predictions["probabilities"],
        )
        sums = classification.count_cells(gold, predicted, len(labels)).total
        known = classification.ORDINAL if self.options.ordered else classification.METRICS
        found = {"loss": float(predictions["loss"].mean(dtype=np.float64))}
        found |= {name: float(metric.score(sums)) for name, metric in known.items()}
        found["pr_auc"] = ranking.pr_auc_value(np.eye(len(labels))[gold], probabilities)
        if self.options.positive:
            number = list(labels).index(self.options.positive)
            of_class = classification.per_class(gold, predicted, labels)[self.options.positive]
            found["f1_positive"] = of_class["f1"].value
            found["pr_auc_positive"] = ranking.pr_auc_value(gold == number, probabilities[:, number])
        return found

    def score(
        self,
        references: Arrays,
        predictions: Arrays,
        labels: Sequence[str],
        *,
        resampling: Resampling | None,
        metrics: Sequence[str] = (),
    ) -> ScoreSheet:
        if resampling is None:
            return ScoreSheet.of_values(self._values(references, predictions, labels), predictions)
        gold, predicted, probabilities = (
            references["labels"],
            predictions["prediction"],
            predictions.get("probabilities"),
        )
        few = len(labels) <= RANKED
        scores = classification.scores(
            gold,
            predicted,
            labels,
            ordered=self.options.ordered,
            probabilities=probabilities if few or "pr_auc" in metrics else None,
            resampling=resampling,
        )
        per_class = classification.per_class(
            gold, predicted, labels, probabilities=probabilities if few else None, resampling=resampling
        )
        if self.options.positive:
            number = list(labels).index(self.options.positive)
            scores["f1_positive"] = per_class[self.options.positive]["f1"]
            if probabilities is not None:
                scores["pr_auc_positive"] = ranking.pr_auc(
                    gold == number, probabilities[:, number], resampling=resampling
                )
        details: dict[str, Any] = {
            "per_class": per_class_details(per_class),
            "confusion": _confusion(gold, predicted, labels, resampling.confidence),
        }
        if "loss" in predictions:
            scores["loss"] = intervals.mean(predictions["loss"], resampling=resampling)
            details["calibration"] = _calibration(gold, predictions, resampling)
            if "temperature" in self.tuned:
                details["calibration"] |= _after(
                    gold, predictions["probabilities"], self.tuned["temperature"], resampling
                )
        return ScoreSheet(scores, tuple(metrics) or self.headline, details)

    def difference(
        self,
        references: Arrays,
        first: Arrays,
        second: Arrays,
        metric: str,
        labels: Sequence[str],
        *,
        resampling: Resampling,
    ) -> Difference:
        name = metric.removesuffix("_positive")
        probabilities = None
        if name == "pr_auc":
            probabilities = (first["probabilities"], second["probabilities"])
            if name == metric and any(np.isnan(numbers).any() for numbers in probabilities):
                message = (
                    f"pr_auc needs the probabilities of all {len(labels)} classes; {RANKED} were written"
                )
                raise UserError("E01", "", message, "compare by another metric")
        return classification.difference(
            references["labels"],
            first["prediction"],
            second["prediction"],
            labels,
            name,
            of=self.options.positive if name != metric else None,
            ordered=self.options.ordered,
            probabilities=probabilities,
            resampling=resampling,
        )

    def correct(self, references: Arrays, predictions: Arrays) -> NDArray[np.bool_]:
        hits: NDArray[np.bool_] = predictions["prediction"] == references["labels"]
        return hits

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[dict[str, Any]]:
        for number, probabilities in enumerate(predictions["probabilities"]):
            best = np.argsort(-probabilities, kind="stable")
            kept = [c for rank, c in enumerate(best) if rank < RANKED or labels[c] == self.options.positive]
            record: dict[str, Any] = {name: rows[name][number] for name in self.texts}
            if references is not None:
                record["label"] = labels[int(references["labels"][number])]
            record["prediction"] = labels[int(predictions["prediction"][number])]
            record["probability"] = float(probabilities[best[0]])
            record["probabilities"] = {labels[int(c)]: float(probabilities[c]) for c in kept}
            if "logits" in predictions:
                record["logits"] = {
                    name: float(x) for name, x in zip(labels, predictions["logits"][number], strict=True)
                }
            yield record

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        numbers = {name: number for number, name in enumerate(labels)}
        references, classes = (
            np.array([numbers[record[key]] for record in records], np.int64)
            for key in ("label", "prediction")
        )
        probabilities = np.array(
            [[record["probabilities"].get(name, np.nan) for name in labels] for record in records]
        )
        return {"labels": references}, {"prediction": classes, "probabilities": probabilities}

    def worst_errors(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        wrong = [record for record in records if record["label"] != record["prediction"]]
        wrong.sort(key=lambda record: -record["probability"])
        kept = (*self.texts, "label", "prediction", "probability", "place")
        return [{key: record[key] for key in kept} for record in wrong[:20]]


def balanced(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Weight of each class: examples / (classes * examples of the class), as scikit-learn's "balanced"."""
    counts = np.bincount(labels, minlength=classes)
    weights: NDArray[np.float32] = (len(labels) / (classes * np.maximum(counts, 1))).astype(np.float32)
    return weights


def per_class_details(rows: Mapping[str, Mapping[str, Score]]) -> dict[str, Any]:
    """The scores of each class as JSON values, with its support: the examples behind its recall."""
    return {
        name: {**{key: score.to_json() for key, score in row.items()}, "support": row["recall"].n}
        for name, row in rows.items()
    }


def _confusion(
    gold: NDArray[np.int64], predicted: NDArray[np.int64], labels: Sequence[str], confidence: float
) -> dict[str, Any]:
    """Counts (C, C), gold rows and predicted columns, and Wilson intervals of each cell's share of its row."""
    counts = classification.confusion_matrix(gold, predicted, len(labels)).tolist()
    return {
        "labels": list(labels),
        "counts": counts,
        "intervals": [[intervals.wilson(n, sum(row), confidence) for n in row] for row in counts],
    }


def _calibration(gold: NDArray[np.int64], predictions: Arrays, resampling: Resampling) -> dict[str, Any]:
    confidence, correct = predictions["probabilities"].max(-1), predictions["prediction"] == gold
    return {
        "ece": calibration.ece(confidence, correct, resampling=resampling).to_json(),
        "brier": intervals.mean(predictions["brier"], resampling=resampling).to_json(),
        "bins": [asdict(row) for row in calibration.reliability_curve(confidence, correct)],
    }


def _after(
    gold: NDArray[np.int64], probabilities: NDArray[Any], temperature: float, resampling: Resampling
) -> dict[str, Any]:
    """What the temperature makes of `_calibration`."""
    heated = calibration.apply_temperature(probabilities, temperature)
    confidence, correct = heated.max(-1), heated.argmax(-1) == gold
    brier = np.square(heated - np.eye(heated.shape[1])[gold]).sum(-1)
    return {
        "temperature": temperature,
        "ece_calibrated": calibration.ece(confidence, correct, resampling=resampling).to_json(),
        "brier_calibrated": intervals.mean(brier, resampling=resampling).to_json(),
        "bins_calibrated": [asdict(row) for row in calibration.reliability_curve(confidence, correct)],
    }
