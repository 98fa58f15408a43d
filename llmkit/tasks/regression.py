"""Text regression: a number per text (a rating, a grade, ...).

The head has one output, trained by squared error as in transformers (problem_type "regression"). Shapes: B examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import DataError, raise_if
from llmkit.data.checks.duplicates import find_near_duplicates
from llmkit.data.checks.numbers import check_numbers
from llmkit.data.checks.texts import check_texts
from llmkit.data.corpus import Corpus
from llmkit.data.encoding.encode import encode_texts
from llmkit.data.encoding.features import Encoded, Features
from llmkit.metrics import intervals
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.tasks import regression
from llmkit.recipe.schema import Data, Section
from llmkit.report.wording import Wording
from llmkit.tasks._shared.baselines import regression_baselines
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

__all__ = ["Options", "Regression", "make"]

HEADLINE = ("pearson", "spearman", "mse")
MAX_POINTS = 2000  # of the report's scatter plot
WORDING = Wording(
    title="text regression",
    purpose="predicts a number for a text",
    errors=("Largest errors", "Predictions by distance from their reference, largest first"),
    # the transformers pipeline of a head with one output; "sentence-similarity" is for models that embed single texts
    pipeline="text-classification",
    usage="regress",
)
PAIR_WORDING = replace(
    WORDING,
    title="text pair regression",
    purpose="predicts a number for a pair of texts",
    usage_input='"The first text.", "The second text."',
    command_input='"The first text." "The second text."',
)


class Options(Section):
    """Regression has no options of its own."""


def make(options: Options, tuned: Mapping[str, Any]) -> Regression:
    """Make the task."""
    return Regression(options, tuned)


@dataclass(frozen=True)
class Regression:
    """A number per text or pair of texts."""

    options: Options
    tuned: Mapping[str, Any] = field(default_factory=dict)
    texts: tuple[str, ...] = ("text",)
    """The text columns: one, or two that make a pair."""

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(
            auto_class="AutoModelForSequenceClassification",
            columns=same_names(*self.texts, "score"),
            inputs=self.texts,
            identity=(*self.texts, "score"),
            metrics=tuple(regression.METRICS),
            wording=PAIR_WORDING if len(self.texts) == 2 else WORDING,
            lower_is_better=frozenset({"loss", "mse", "mae"}),
            baselines=regression_baselines(self.texts),
            tuned=self.tuned,
        )

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        corpus, errors, notes = check_texts(corpus, self.texts, data)
        _, number_errors = check_numbers(corpus, "score")
        raise_if([*errors, *number_errors], DataError)
        if labels is None:
            # Equal texts with different numbers are two measurements, not a contradiction: no label column.
            corpus, duplicates = make_splits(corpus, self.texts, data, seed)
            notes += duplicates
        numbers, _ = check_numbers(corpus, "score")  # of the splits as they are now
        near_duplicates, near_notes = find_near_duplicates(corpus, self.texts)
        references = {name: {"labels": values} for name, values in numbers.items()}
        return Examples(corpus, (), references, (*notes, *near_notes), near_duplicates)

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
        """Describe the head; its bias is the mean score.

        From 0, the first steps would only move the predictions to where the scores are.
        """
        bias = None if references is None else [float(references["labels"].mean(dtype=np.float64))]
        return Head({"num_labels": 1, "problem_type": "regression"}, bias)

    def augment(self, batch: dict[str, Tensor], seeds: NDArray[np.int64]) -> dict[str, Tensor]:
        return batch

    def loss(self, references: Arrays, num_classes: int) -> Loss:
        def compute_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses

            return losses.squared_error(compute_logits(model, batch)[:, 0], batch["labels"])

        return compute_loss

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        numbers_B = compute_logits(model, batch)[:, 0]
        outputs = {"prediction": numbers_B}
        if "labels" in batch:
            outputs["loss"] = (numbers_B - batch["labels"]).square()
        return outputs

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        return outputs

    def tune(self, references: Arrays, predictions: Arrays) -> Mapping[str, Any]:
        return {}

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
            loss = float(predictions["loss"].mean(dtype=np.float64))
            values = {"loss": loss, **regression.values(true, predicted)}
            return ScoreSheet.from_values(values, predictions)
        scores = regression.scores(true, predicted, resampling=resampling)
        if "loss" in predictions:
            scores["loss"] = intervals.mean(predictions["loss"], resampling=resampling)
        points = {"gold": true[:MAX_POINTS].tolist(), "predicted": predicted[:MAX_POINTS].tolist()}
        return ScoreSheet(scores, tuple(metrics) or HEADLINE, {"scatter": points})

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
        return regression.difference(
            references["labels"], first["prediction"], second["prediction"], metric, resampling=resampling
        )

    def correct(self, references: Arrays, predictions: Arrays) -> None:
        return None

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[Record]:
        for number, prediction in enumerate(predictions["prediction"]):
            record: Record = {name: rows[name][number] for name in self.texts}
            if references is not None:
                # As written in the file: 3.8, not 3.799999952316284.
                record["score"] = float(str(references["labels"][number]))
            yield {**record, "prediction": float(prediction), "probability": None}

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        true, predicted = (
            np.array([record[key] for record in records], np.float32) for key in ("score", "prediction")
        )
        return {"labels": true}, {"prediction": predicted}

    def worst_errors(self, records: Sequence[Record]) -> list[Record]:
        """Return the predictions that are farthest from the score in the data."""
        farthest = sorted(records, key=lambda record: -abs(record["score"] - record["prediction"]))
        names = (*self.texts, "score", "prediction", "place")
        return [{name: record[name] for name in names} for record in farthest[:MAX_ERRORS]]
