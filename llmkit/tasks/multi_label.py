"""Multi-label classification: any number of labels a text.

The head has a sigmoid for each label (problem_type "multi_label_classification" in transformers). A label is given
where its probability reaches the label's own threshold, which is set on the validation rows. Shapes: B examples, C
labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import DataError, raise_if
from llmkit.data import splits
from llmkit.data.checks.duplicates import check_duplicates, find_near_duplicates
from llmkit.data.checks.label_checks import build_label_indicators, check_label_lists, drop_unknown_labels
from llmkit.data.checks.texts import check_texts
from llmkit.data.corpus import Corpus
from llmkit.data.encoding.features import Encoded
from llmkit.metrics import intervals
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.tasks import multi_label, ranking
from llmkit.recipe.schema import Data, Section
from llmkit.tasks._shared.baselines import multi_label_baselines
from llmkit.tasks._shared.texts import OverTexts, logits_of, named_classes
from llmkit.tasks.classification import RANKED, per_class_details
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

__all__ = ["MultiLabel", "Options", "make"]

HEADLINE = ("f1_micro", "f1", "subset_accuracy")


class Options(Section):
    """Task options of multi-label classification."""

    tune_thresholds: bool = True
    """Set each label's threshold where its F1 on the validation rows is highest (labels with fewer than 5 rows there
    share one); false: 0.5 for all."""


def make(options: Options, tuned: Mapping[str, Any]) -> MultiLabel:
    """The task with these options."""
    return MultiLabel(options, tuned)


class MultiLabel(OverTexts):
    """Some labels for each text; see `protocol.Task` for what each part is."""

    options: Options
    gold: ClassVar[str] = "labels"

    @property
    def spec(self) -> TaskSpec:
        metrics = (*multi_label.METRICS, "pr_auc")
        lower = frozenset({"loss", "hamming_loss"})
        return self.spec_with(
            metrics,
            lower,
            baselines=multi_label_baselines(self.texts, with_thresholds="thresholds" in self.tuned),
            can_tune=self.options.tune_thresholds,
        )

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        corpus, problems, notes = check_texts(corpus, self.texts, data)
        names, unfit = check_label_lists(corpus, self.gold, data, model_labels=labels)
        raise_if([*problems, *unfit], DataError)
        corpus, dropped = drop_unknown_labels(corpus, self.gold, names, data)
        notes = [*notes, *dropped]
        if labels is None:
            corpus, repeated, said = check_duplicates(corpus, self.texts, None, data)
            raise_if(repeated, DataError)
            corpus = splits.create_missing_splits(
                corpus, label_column=None, text_column=self.together, data=data, seed=seed
            )
            notes = [*notes, *said]
        near, alike = find_near_duplicates(corpus, self.texts)
        references = {
            part: {"labels": build_label_indicators(rows, self.gold, names)}
            for part, rows in corpus.splits.items()
        }
        counts = {
            split: dict(zip(names, own["labels"].sum(0).astype(int).tolist(), strict=True))
            for split, own in references.items()
        }
        return Examples(corpus, names, references, (*notes, *alike), near, counts)

    def head(self, labels: Sequence[str], references: Arrays | None = None) -> Head:
        """The initial bias is each label's log-odds; from 0, training would first push all of the rare labels down."""
        config = named_classes(labels, "multi_label_classification")
        if references is None:
            return Head(config)
        marks_NC = references["labels"]
        counts_C = marks_NC.sum(axis=0)
        return Head(config, np.log((counts_C + 0.5) / (len(marks_NC) - counts_C + 0.5)).tolist())

    def loss(self, references: Arrays, classes: int) -> Loss:
        def of_batch(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses

            return losses.multi_label(logits_of(model, batch), batch["labels"])

        return of_batch

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        from torch.nn import functional

        logits_BC = logits_of(model, batch)
        decoded = {"probabilities": logits_BC.sigmoid()}
        if "labels" in batch:
            losses_BC = functional.binary_cross_entropy_with_logits(
                logits_BC, batch["labels"], reduction="none"
            )
            decoded["loss"] = losses_BC.mean(-1)
        else:
            decoded["logits"] = logits_BC
        return decoded

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        return {**outputs, "prediction": outputs["probabilities"] >= self._thresholds()}

    def _thresholds(self) -> NDArray[np.float64]:
        """(C,), or one for all."""
        return np.array(self.tuned.get("thresholds", 0.5), np.float64)

    def tune(self, references: Arrays, predictions: Arrays) -> Mapping[str, Any]:
        found = multi_label.best_thresholds(references["labels"], predictions["probabilities"])
        return {"thresholds": found.tolist()}

    def _values(self, references: Arrays, predictions: Arrays, labels: Sequence[str]) -> dict[str, float]:
        return {
            "loss": float(predictions["loss"].mean(dtype=np.float64)),
            **multi_label.values(references["labels"], predictions["prediction"]),
            "pr_auc": ranking.pr_auc_value(references["labels"], predictions["probabilities"]),
        }

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
        scores = multi_label.scores(gold, predicted, probabilities=probabilities, resampling=resampling)
        per_label = multi_label.per_label(
            gold,
            predicted,
            labels,
            probabilities=probabilities if len(labels) <= RANKED else None,
            resampling=resampling,
        )
        details: dict[str, Any] = {"per_class": per_class_details(per_label)}
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
        probabilities = (first["probabilities"], second["probabilities"]) if metric == "pr_auc" else None
        return multi_label.difference(
            references["labels"],
            first["prediction"],
            second["prediction"],
            metric,
            probabilities=probabilities,
            resampling=resampling,
        )

    def correct(self, references: Arrays, predictions: Arrays) -> NDArray[np.bool_]:
        hits: NDArray[np.bool_] = (references["labels"].astype(bool) == predictions["prediction"]).all(-1)
        return hits

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[dict[str, Any]]:
        for number, (given, probabilities) in enumerate(
            zip(predictions["prediction"], predictions["probabilities"], strict=True)
        ):
            record: dict[str, Any] = {name: rows[name][number] for name in self.texts}
            if references is not None:
                record["labels"] = _named(references["labels"][number], labels)
            record["prediction"] = _named(given, labels)
            record["probability"] = _of_all(given, probabilities)
            record["probabilities"] = dict(zip(labels, map(float, probabilities), strict=True))
            if "logits" in predictions:
                record["logits"] = dict(zip(labels, map(float, predictions["logits"][number]), strict=True))
            yield record

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        gold, predicted = (
            np.array([[name in record[key] for name in labels] for record in records])
            for key in ("labels", "prediction")
        )
        probabilities = np.array([[r["probabilities"][name] for name in labels] for r in records])
        return {"labels": gold.astype(np.float32)}, {"prediction": predicted, "probabilities": probabilities}

    def worst_errors(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        wrong = [record for record in records if set(record["labels"]) != set(record["prediction"])]
        wrong.sort(key=lambda record: -record["probability"])
        return [
            {
                **{name: record[name] for name in self.texts},
                "label": ", ".join(record["labels"]) or "none",
                "prediction": ", ".join(record["prediction"]) or "none",
                "probability": record["probability"],
                "place": record["place"],
            }
            for record in wrong[:20]
        ]


def _named(marks: NDArray[Any], labels: Sequence[str]) -> list[str]:
    return [name for name, mark in zip(labels, marks, strict=True) if mark]


def _of_all(given: NDArray[np.bool_], probabilities: NDArray[np.float32]) -> float:
    """The probability of just this set of labels, each label taken as independent of the others."""
    return float(np.where(given, probabilities, 1 - probabilities).astype(np.float64).prod())
