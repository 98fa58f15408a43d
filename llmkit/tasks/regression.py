"""Regression: a number for a text (a rating, a grade ...).

The head has one output, trained by squared error as transformers does it (problem_type "regression"). Shapes: B
examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from llmkit.base.errors import DataError, raise_if
from llmkit.data import splits
from llmkit.data.checks.duplicates import check_duplicates, find_near_duplicates
from llmkit.data.checks.numbers import check_numbers
from llmkit.data.checks.texts import check_texts
from llmkit.data.corpus import Corpus
from llmkit.metrics import intervals
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.tasks import regression
from llmkit.recipe.schema import Data, Section
from llmkit.tasks._shared.baselines import regression_baselines
from llmkit.tasks._shared.texts import OverTexts, logits_of
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

__all__ = ["Options", "Regression", "make"]

HEADLINE = ("pearson", "spearman", "mse")
SHOWN = 2000  # points of the report's scatter plot


class Options(Section):
    """Regression has no options of its own."""


def make(options: Options, tuned: Mapping[str, Any]) -> Regression:
    """The task with these options."""
    return Regression(options, tuned)


class Regression(OverTexts):
    """A number for each text or pair; see `protocol.Task` for what each part is."""

    gold: ClassVar[str] = "score"

    @property
    def spec(self) -> TaskSpec:
        return self.spec_with(
            tuple(regression.METRICS),
            frozenset({"loss", "mse", "mae"}),
            baselines=regression_baselines(self.texts),
        )

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        corpus, problems, notes = check_texts(corpus, self.texts, data)
        numbers, unfit = check_numbers(corpus, self.gold)
        raise_if([*problems, *unfit], DataError)
        if labels is None:
            # Equal texts with different numbers are two measurements, no contradiction.
            corpus, repeated, said = check_duplicates(corpus, self.texts, None, data)
            raise_if(repeated, DataError)
            corpus = splits.create_missing_splits(
                corpus, label_column=None, text_column=self.together, data=data, seed=seed
            )
            notes = [*notes, *said]
        numbers, _ = check_numbers(corpus, self.gold)  # rows were dropped and dealt out since
        near, alike = find_near_duplicates(corpus, self.texts)
        references = {part: {"labels": values} for part, values in numbers.items()}
        return Examples(corpus, (), references, (*notes, *alike), near)

    def head(self, labels: Sequence[str], references: Arrays | None = None) -> Head:
        """The bias is the mean score: or the first steps would only move the predictions from 0 to the scores."""
        bias = None if references is None else [float(references["labels"].mean(dtype=np.float64))]
        return Head({"num_labels": 1, "problem_type": "regression"}, bias)

    def loss(self, references: Arrays, classes: int) -> Loss:
        def of_batch(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses

            return losses.squared_error(logits_of(model, batch)[:, 0], batch["labels"])

        return of_batch

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        numbers_B = logits_of(model, batch)[:, 0]
        decoded = {"prediction": numbers_B}
        if "labels" in batch:
            decoded["loss"] = (numbers_B - batch["labels"]).square()
        return decoded

    def _values(self, references: Arrays, predictions: Arrays, labels: Sequence[str]) -> dict[str, float]:
        loss = float(predictions["loss"].mean(dtype=np.float64))
        return {"loss": loss, **regression.values(references["labels"], predictions["prediction"])}

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
        gold, predicted = references["labels"], predictions["prediction"]
        scores = regression.scores(gold, predicted, resampling=resampling)
        if "loss" in predictions:
            scores["loss"] = intervals.mean(predictions["loss"], resampling=resampling)
        points = {"gold": gold[:SHOWN].tolist(), "predicted": predicted[:SHOWN].tolist()}
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
            references["labels"],
            first["prediction"],
            second["prediction"],
            metric,
            resampling=resampling,
        )

    def correct(self, references: Arrays, predictions: Arrays) -> None:
        return None

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[dict[str, Any]]:
        for number, prediction in enumerate(predictions["prediction"]):
            record: dict[str, Any] = {name: rows[name][number] for name in self.texts}
            if references is not None:
                record["score"] = _as_written(references["labels"][number])
            yield {**record, "prediction": float(prediction), "probability": None}

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        gold, predicted = (
            np.array([record[key] for record in records], np.float32) for key in ("score", "prediction")
        )
        return {"labels": gold}, {"prediction": predicted}

    def worst_errors(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        far = sorted(records, key=lambda record: -abs(record["score"] - record["prediction"]))
        kept = (*self.texts, "score", "prediction", "place")
        return [{key: record[key] for key in kept} for record in far[:20]]


def _as_written(number: np.float32) -> float:
    """3.8 as it stood in the file, not 3.799999952316284."""
    return float(str(number))
