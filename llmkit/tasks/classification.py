"""Text classification: one label per text (sentiment, topic, spam, ...).

Shapes: B examples, N examples of a split, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from llmkit.base.errors import DataError, ErrorDetail, UserError, raise_if, shorten_list
from llmkit.data.checks.duplicates import find_near_duplicates
from llmkit.data.checks.label_checks import check_class_labels, drop_unknown_labels
from llmkit.data.checks.labels import all_integers, encode_labels
from llmkit.data.checks.texts import check_texts
from llmkit.data.corpus import Corpus
from llmkit.data.encoding.encode import encode_texts
from llmkit.data.encoding.features import Encoded, Features
from llmkit.metrics import intervals
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.tasks import calibration, classification, ranking
from llmkit.recipe.schema import Data, Section
from llmkit.report.wording import Wording
from llmkit.tasks._shared.baselines import classification_baselines
from llmkit.tasks._shared.classes import MAX_RANKED, check_class, class_config, class_details
from llmkit.tasks._shared.texts import compute_logits, make_splits
from llmkit.tasks.protocol import (
    MAX_ERRORS,
    Arrays,
    Examples,
    Head,
    Loss,
    Record,
    Rows,
    ScoreSheet,
    TaskSpec,
    same_names,
)

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

__all__ = ["Classification", "Options", "balance_classes", "make"]
WORDING = Wording(
    title="text classification",
    purpose="assigns a text to one of its classes",
    pipeline="text-classification",
    usage="classify",
)
PAIR_WORDING = replace(
    WORDING,
    title="text pair classification",
    purpose="assigns a pair of texts to one of its classes",
    usage_input='{"text": "The first text.", "text_pair": "The second text."}',
    command_input='"The first text." "The second text."',
)


class Options(Section):
    """Task options of classification."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target that is spread evenly over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: each class weighs the same in the loss, however rare it is."""
    positive: str | None = None
    """The class of interest when it is rare; its F1 and PR-AUC are scored too (f1_positive, pr_auc_positive)."""
    ordered: bool = False
    """Classes are steps of a scale, by number or in the order of data.labels; their mean error is scored too (mae)."""


def make(options: Options, tuned: Mapping[str, Any]) -> Classification:
    """Make the task."""
    return Classification(options, tuned)


@dataclass(frozen=True)
class Classification:
    """One label per text or pair of texts."""

    options: Options
    tuned: Mapping[str, Any] = field(default_factory=dict)
    texts: tuple[str, ...] = ("text",)
    """The text columns: one, or two that make a pair."""

    @property
    def spec(self) -> TaskSpec:
        metrics = classification.ORDINAL if self.options.ordered else classification.METRICS
        of_positive = ("f1_positive", "pr_auc_positive") if self.options.positive else ()
        return TaskSpec(
            auto_class="AutoModelForSequenceClassification",
            columns=same_names(*self.texts, "label"),
            inputs=self.texts,
            identity=(*self.texts, "label"),
            metrics=(*metrics, "pr_auc", *of_positive),
            wording=PAIR_WORDING if len(self.texts) == 2 else WORDING,
            lower_is_better=frozenset({"loss", "mae"}),
            baselines=classification_baselines(self.texts),
            can_tune=True,
            can_calibrate="temperature" in self.tuned,
            tuned=self.tuned,
        )

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        return self._check(corpus, data, seed, labels, text_column=self.texts[0])

    def _check(
        self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None, *, text_column: str
    ) -> Examples:
        """Check the rows; rows with equal values in text_column stay in one split."""
        corpus, errors, notes = check_texts(corpus, self.texts, data)
        names, label_errors = check_class_labels(corpus, "label", data, model_labels=labels)
        errors += [*label_errors, *check_class(self.options.positive, names, "task.positive")]
        if self.options.ordered and not (data.labels or labels or all_integers(names)):
            # Otherwise they are in alphabetical order, which is no scale.
            message = f"true, but the order of the classes is not known ({shorten_list(names)})"
            fix = "list them from lowest to highest in data.labels"
            errors.append(ErrorDetail("C10", "task.ordered", message, fix))
        raise_if(errors, DataError)
        corpus, dropped = drop_unknown_labels(corpus, "label", names, data)
        notes += dropped
        if labels is None:
            corpus, duplicates = make_splits(
                corpus, self.texts, data, seed, label_column="label", text_column=text_column
            )
            notes += duplicates
        near_duplicates, near_notes = find_near_duplicates(corpus, self.texts)
        ids = {name: encode_labels(split, "label", names) for name, split in corpus.splits.items()}
        return Examples(
            corpus,
            names,
            {name: {"labels": ids_N} for name, ids_N in ids.items()},
            (*notes, *near_notes),
            near_duplicates,
            {
                name: dict(zip(names, np.bincount(ids_N, minlength=len(names)).tolist(), strict=True))
                for name, ids_N in ids.items()
            },
        )

    def encode(
        self,
        rows: Rows,
        references: Arrays,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int,
        truncation: bool,
        training: bool = False,
    ) -> Features:
        columns = (rows[name] for name in self.texts)
        return encode_texts(tokenizer, *columns, max_length=max_length, truncation=truncation)

    def bind(self, config: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> Self:
        return self

    def head(self, labels: Sequence[str], references: Arrays | None = None) -> Head:
        return Head(class_config(labels, "single_label_classification"))

    def augment(self, batch: dict[str, Tensor], seeds: NDArray[np.int64]) -> dict[str, Tensor]:
        return batch

    def loss(self, references: Arrays, num_classes: int) -> Loss:
        import torch

        from llmkit.engine import losses

        weights_C: Tensor | None = None
        if self.options.class_weights == "balanced":
            weights_C = torch.from_numpy(balance_classes(references["labels"], num_classes))

        def compute_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            logits_BC = compute_logits(model, batch)
            return losses.classification(
                logits_BC,
                batch["labels"],
                weights_C=None if weights_C is None else weights_C.to(logits_BC.device),
                label_smoothing=self.options.label_smoothing,
            )

        return compute_loss

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        logits_BC = compute_logits(model, batch)
        log_probs_BC = logits_BC.log_softmax(-1)
        probs_BC = log_probs_BC.exp()
        outputs = {"prediction": probs_BC.argmax(-1), "probabilities": probs_BC}
        if "labels" not in batch:  # `predict`, whose user may want the logits themselves
            return {**outputs, "logits": logits_BC}
        labels_B1 = batch["labels"][:, None]
        label_probs_B = probs_BC.gather(1, labels_B1)[:, 0]
        outputs["loss"] = -log_probs_BC.gather(1, labels_B1)[:, 0]
        outputs["brier"] = probs_BC.square().sum(-1) - 2 * label_probs_B + 1
        return outputs

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        if not calibrated:
            return outputs
        probabilities = calibration.apply_temperature(outputs["probabilities"], self.tuned["temperature"])
        return {**outputs, "probabilities": probabilities}

    def tune(self, references: Arrays, predictions: Arrays) -> Mapping[str, Any]:
        temperature = calibration.fit_temperature(predictions["probabilities"], references["labels"])
        return {"temperature": temperature}

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
            return ScoreSheet.from_values(self._compute_values(references, predictions, labels), predictions)
        true, predicted = references["labels"], predictions["prediction"]
        probabilities = predictions.get("probabilities")
        few = len(labels) <= MAX_RANKED
        scores = classification.scores(
            true,
            predicted,
            labels,
            ordered=self.options.ordered,
            probabilities=probabilities if few or "pr_auc" in metrics else None,
            resampling=resampling,
        )
        per_class = classification.per_class(
            true, predicted, labels, probabilities=probabilities if few else None, resampling=resampling
        )
        if self.options.positive:
            number = list(labels).index(self.options.positive)
            scores["f1_positive"] = per_class[self.options.positive]["f1"]
            if probabilities is not None:
                scores["pr_auc_positive"] = ranking.pr_auc(
                    true == number, probabilities[:, number], resampling=resampling
                )
        details: dict[str, Any] = {
            "per_class": class_details(per_class),
            "confusion": _confusion_details(true, predicted, labels, resampling.confidence),
        }
        if "loss" in predictions:
            scores["loss"] = intervals.mean(predictions["loss"], resampling=resampling)
            details["calibration"] = self._calibration_details(true, predictions, resampling)
        return ScoreSheet(scores, tuple(metrics) or self._choose_headline(), details)

    def _choose_headline(self) -> tuple[str, ...]:
        """Return the metrics to show first if the recipe names none."""
        if self.options.positive:
            return ("accuracy", "f1_positive", "pr_auc_positive")
        return ("accuracy", "mae", "f1") if self.options.ordered else ("accuracy", "f1", "mcc")

    def _compute_values(
        self, references: Arrays, predictions: Arrays, labels: Sequence[str]
    ) -> dict[str, float]:
        true, predicted = references["labels"], predictions["prediction"]
        probabilities = predictions["probabilities"]
        cells = classification.count_cells(true, predicted, len(labels)).total
        metrics = classification.ORDINAL if self.options.ordered else classification.METRICS
        values = {"loss": float(predictions["loss"].mean(dtype=np.float64))}
        values |= {name: float(metric.score(cells)) for name, metric in metrics.items()}
        values["pr_auc"] = ranking.pr_auc_value(np.eye(len(labels))[true], probabilities)
        if self.options.positive:
            number = list(labels).index(self.options.positive)
            of_positive = classification.per_class(true, predicted, labels)[self.options.positive]
            values["f1_positive"] = of_positive["f1"].value
            values["pr_auc_positive"] = ranking.pr_auc_value(true == number, probabilities[:, number])
        return values

    def _calibration_details(
        self, true: NDArray[np.int64], predictions: Arrays, resampling: Resampling
    ) -> dict[str, Any]:
        """Return calibration errors and the reliability curve, before and (if fitted) after the temperature."""
        confidences = predictions["probabilities"].max(-1)
        correct = predictions["prediction"] == true
        details = {
            "ece": calibration.ece(confidences, correct, resampling=resampling).to_json(),
            "brier": intervals.mean(predictions["brier"], resampling=resampling).to_json(),
            "bins": [asdict(row) for row in calibration.reliability_curve(confidences, correct)],
        }
        if "temperature" not in self.tuned:
            return details
        temperature = self.tuned["temperature"]
        probabilities = calibration.apply_temperature(predictions["probabilities"], temperature)
        confidences, correct = probabilities.max(-1), probabilities.argmax(-1) == true
        brier = np.square(probabilities - np.eye(probabilities.shape[1])[true]).sum(-1)
        return {
            **details,
            "temperature": temperature,
            "ece_calibrated": calibration.ece(confidences, correct, resampling=resampling).to_json(),
            "brier_calibrated": intervals.mean(brier, resampling=resampling).to_json(),
            "bins_calibrated": [asdict(row) for row in calibration.reliability_curve(confidences, correct)],
        }

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
                    f"pr_auc needs the probabilities of all {len(labels)} classes, but the prediction files "
                    f"hold only the {MAX_RANKED} highest"
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
        return np.equal(predictions["prediction"], references["labels"])

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[Record]:
        """Yield records with the highest probabilities by label; without references with all logits too."""
        for number, probabilities in enumerate(predictions["probabilities"]):
            order = np.argsort(-probabilities, kind="stable")
            kept = [
                *order[:MAX_RANKED],
                *(c for c in order[MAX_RANKED:] if labels[c] == self.options.positive),
            ]
            record: Record = {name: rows[name][number] for name in self.texts}
            if references is not None:
                record["label"] = labels[int(references["labels"][number])]
            record["prediction"] = labels[int(predictions["prediction"][number])]
            record["probability"] = float(probabilities[order[0]])
            record["probabilities"] = {labels[int(c)]: float(probabilities[c]) for c in kept}
            if "logits" in predictions:
                logits = map(float, predictions["logits"][number])
                record["logits"] = dict(zip(labels, logits, strict=True))
            yield record

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        """Return references and predictions; probabilities that the records do not hold are NaN."""
        numbers = {name: number for number, name in enumerate(labels)}
        true, predicted = (
            np.array([numbers[record[key]] for record in records], np.int64)
            for key in ("label", "prediction")
        )
        probabilities = np.array(
            [[record["probabilities"].get(name, np.nan) for name in labels] for record in records]
        )
        return {"labels": true}, {"prediction": predicted, "probabilities": probabilities}

    def worst_errors(self, records: Sequence[Record]) -> list[Record]:
        """Return the wrong predictions, the most confident first."""
        wrong = [record for record in records if record["label"] != record["prediction"]]
        wrong.sort(key=lambda record: -record["probability"])
        names = (*self.texts, "label", "prediction", "probability", "place")
        return [{name: record[name] for name in names} for record in wrong[:MAX_ERRORS]]


def balance_classes(labels: NDArray[np.int64], num_classes: int) -> NDArray[np.float32]:
    """Return the weight of each class, N / (C * examples of the class), as scikit-learn's "balanced"."""
    counts = np.bincount(labels, minlength=num_classes)
    return np.asarray(len(labels) / (num_classes * np.maximum(counts, 1)), np.float32)


def _confusion_details(
    true: NDArray[np.int64], predicted: NDArray[np.int64], labels: Sequence[str], confidence: float
) -> dict[str, Any]:
    """Return counts (C, C), true rows and predicted columns, and Wilson intervals of each cell's share of its row."""
    counts = classification.confusion_matrix(true, predicted, len(labels)).tolist()
    return {
        "labels": list(labels),
        "counts": counts,
        "intervals": [[list(intervals.wilson(n, sum(row), confidence)) for n in row] for row in counts],
    }
