"""Multi-label classification: any number of labels per text.

The head has a sigmoid per label (problem_type "multi_label_classification" in transformers). A label is predicted if
its probability reaches the label's own threshold, which is set on the validation set.

Shapes: B examples, N examples of a split, C labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import DataError, raise_if
from llmkit.data.checks.duplicates import find_near_duplicates
from llmkit.data.checks.label_checks import build_label_indicators, check_label_lists, drop_unknown_labels
from llmkit.data.checks.texts import check_texts
from llmkit.data.corpus import Corpus
from llmkit.data.encoding.encode import encode_texts
from llmkit.data.encoding.features import Encoded, Features
from llmkit.metrics import intervals
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.tasks import multi_label, ranking
from llmkit.recipe.schema import Data, Section
from llmkit.report.wording import Wording
from llmkit.tasks._shared.baselines import multi_label_baselines
from llmkit.tasks._shared.classes import MAX_RANKED, class_config, class_details
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

__all__ = ["MultiLabel", "Options", "make"]

HEADLINE = ("f1_micro", "f1", "subset_accuracy")
TEXTS = ("text",)
WORDING = Wording(
    title="multi-label classification",
    purpose="assigns any number of labels to a text",
    about_thresholds=(
        "A label is predicted if its probability reaches the label's own threshold, which was set on the validation "
        "set and is kept in `llmkit.json` under `tuned`."
    ),
    class_names=("label", "labels"),
    pipeline="text-classification",
    usage="labels",
)


class Options(Section):
    """Task options of multi-label classification."""

    tune_thresholds: bool = True
    """Set each label's threshold where its F1 on the validation set is highest (labels with fewer than 5 examples
    there share one); false: 0.5 for all."""


def make(options: Options, tuned: Mapping[str, Any]) -> MultiLabel:
    """Make the task."""
    return MultiLabel(options, tuned)


@dataclass(frozen=True)
class MultiLabel:
    """Any number of labels per text."""

    options: Options
    tuned: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(
            auto_class="AutoModelForSequenceClassification",
            columns=same_names(*TEXTS, "labels"),
            inputs=TEXTS,
            identity=(*TEXTS, "labels"),
            metrics=(*multi_label.METRICS, "pr_auc"),
            wording=WORDING,
            lower_is_better=frozenset({"loss", "hamming_loss"}),
            baselines=multi_label_baselines(TEXTS, with_thresholds="thresholds" in self.tuned),
            can_tune=self.options.tune_thresholds,
            tuned=self.tuned,
        )

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        corpus, errors, notes = check_texts(corpus, TEXTS, data)
        names, label_errors = check_label_lists(corpus, "labels", data, model_labels=labels)
        raise_if([*errors, *label_errors], DataError)
        corpus, dropped = drop_unknown_labels(corpus, "labels", names, data)
        notes += dropped
        if labels is None:
            corpus, duplicates = make_splits(corpus, TEXTS, data, seed)
            notes += duplicates
        near_duplicates, near_notes = find_near_duplicates(corpus, TEXTS)
        marks = {
            name: build_label_indicators(split, "labels", names) for name, split in corpus.splits.items()
        }
        return Examples(
            corpus,
            names,
            {name: {"labels": marks_NC} for name, marks_NC in marks.items()},
            (*notes, *near_notes),
            near_duplicates,
            {
                name: dict(zip(names, marks_NC.sum(0).astype(int).tolist(), strict=True))
                for name, marks_NC in marks.items()
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
        return encode_texts(tokenizer, rows["text"], max_length=max_length, truncation=truncation)

    def bind(self, config: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> Self:
        return self

    def head(self, labels: Sequence[str], references: Arrays | None = None) -> Head:
        """Describe the head; its bias is each label's log-odds.

        From 0, training would first push all of the rare labels down.
        """
        config = class_config(labels, "multi_label_classification")
        if references is None:
            return Head(config)
        marks_NC = references["labels"]
        counts_C = marks_NC.sum(axis=0)
        return Head(config, np.log((counts_C + 0.5) / (len(marks_NC) - counts_C + 0.5)).tolist())

    def augment(self, batch: dict[str, Tensor], seeds: NDArray[np.int64]) -> dict[str, Tensor]:
        return batch

    def loss(self, references: Arrays, num_classes: int) -> Loss:
        def compute_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses

            return losses.multi_label(compute_logits(model, batch), batch["labels"])

        return compute_loss

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        from torch.nn import functional

        logits_BC = compute_logits(model, batch)
        outputs = {"probabilities": logits_BC.sigmoid()}
        if "labels" not in batch:  # `predict`, whose user may want the logits themselves
            return {**outputs, "logits": logits_BC}
        losses_BC = functional.binary_cross_entropy_with_logits(logits_BC, batch["labels"], reduction="none")
        return {**outputs, "loss": losses_BC.mean(-1)}

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        thresholds = np.array(self.tuned.get("thresholds", 0.5), np.float64)  # (C,), or one for all
        return {**outputs, "prediction": outputs["probabilities"] >= thresholds}

    def tune(self, references: Arrays, predictions: Arrays) -> Mapping[str, Any]:
        thresholds_C = multi_label.best_thresholds(references["labels"], predictions["probabilities"])
        return {"thresholds": thresholds_C.tolist()}

    def score(
        self,
        references: Arrays,
        predictions: Arrays,
        labels: Sequence[str],
        *,
        resampling: Resampling | None,
        metrics: Sequence[str] = (),
    ) -> ScoreSheet:
        true, predicted = references["labels"], predictions["prediction"]
        if resampling is None:
            values = {
                "loss": float(predictions["loss"].mean(dtype=np.float64)),
                **multi_label.values(true, predicted),
                "pr_auc": ranking.pr_auc_value(true, predictions["probabilities"]),
            }
            return ScoreSheet.from_values(values, predictions)
        probabilities = predictions.get("probabilities")
        scores = multi_label.scores(true, predicted, probabilities=probabilities, resampling=resampling)
        per_label = multi_label.per_label(
            true,
            predicted,
            labels,
            probabilities=probabilities if len(labels) <= MAX_RANKED else None,
            resampling=resampling,
        )
        details: dict[str, Any] = {"per_class": class_details(per_label)}
        if "loss" in predictions:
            scores["loss"] = intervals.mean(predictions["loss"], resampling=resampling)
        if "thresholds" in self.tuned:
            details["thresholds"] = dict(zip(labels, self.tuned["thresholds"], strict=True))
        return ScoreSheet(scores, tuple(metrics) or HEADLINE, details)

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
        return multi_label.difference(
            references["labels"],
            first["prediction"],
            second["prediction"],
            metric,
            probabilities=(first["probabilities"], second["probabilities"]) if metric == "pr_auc" else None,
            resampling=resampling,
        )

    def correct(self, references: Arrays, predictions: Arrays) -> NDArray[np.bool_]:
        """Return which examples have exactly their labels."""
        true: NDArray[np.bool_] = references["labels"].astype(bool)
        return np.asarray((true == predictions["prediction"]).all(-1), bool)

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[Record]:
        """Yield records whose probability is that of exactly the predicted labels, if labels are independent."""
        pairs = zip(predictions["prediction"], predictions["probabilities"], strict=True)
        for number, (predicted, probabilities) in enumerate(pairs):
            record: Record = {name: rows[name][number] for name in TEXTS}
            if references is not None:
                record["labels"] = _select_labels(references["labels"][number], labels)
            record["prediction"] = _select_labels(predicted, labels)
            of_each = np.where(predicted, probabilities, 1 - probabilities).astype(np.float64)
            record["probability"] = float(of_each.prod())
            record["probabilities"] = dict(zip(labels, map(float, probabilities), strict=True))
            if "logits" in predictions:
                logits = map(float, predictions["logits"][number])
                record["logits"] = dict(zip(labels, logits, strict=True))
            yield record

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        true, predicted = (
            np.array([[name in record[key] for name in labels] for record in records])
            for key in ("labels", "prediction")
        )
        probabilities = np.array([[record["probabilities"][name] for name in labels] for record in records])
        return {"labels": true.astype(np.float32)}, {"prediction": predicted, "probabilities": probabilities}

    def worst_errors(self, records: Sequence[Record]) -> list[Record]:
        """Return the records with wrong labels, the most confident first."""
        wrong = [record for record in records if set(record["labels"]) != set(record["prediction"])]
        wrong.sort(key=lambda record: -record["probability"])
        return [
            {
                **{name: record[name] for name in TEXTS},
                "label": ", ".join(record["labels"]) or "none",
                "prediction": ", ".join(record["prediction"]) or "none",
                "probability": record["probability"],
                "place": record["place"],
            }
            for record in wrong[:MAX_ERRORS]
        ]


def _select_labels(marks: NDArray[Any], labels: Sequence[str]) -> list[str]:
    """Return the names of the marked labels."""
    return [name for name, mark in zip(labels, marks, strict=True) if mark]
