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
from llmkit.metrics.tasks import regression
from llmkit.recipe.schema import Data, Evaluate, Section
from llmkit.tasks._shared.texts import OverTexts, logits_of, resampling_of
from llmkit.tasks.protocol import Arrays, Examples, Head, Loss, Rows, Sheet, TaskSpec, Vectors, tfidf_text

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
        return self.spec_with(tuple(regression.METRICS), frozenset({"loss", "mse", "mae"}))

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
        golds = {part: {"labels": values} for part, values in numbers.items()}
        return Examples(corpus, (), golds, (*notes, *alike), near)

    @property
    def ladder(self) -> Mapping[str, str]:
        words = (
            {"overlap": "the share of common words"}
            if len(self.texts) == 2
            else {"tfidf_ridge": "TF-IDF with ridge regression"}
        )
        return {
            "mean": "always answering the mean of the training scores",
            **words,
            "untuned": "ridge regression on the untuned checkpoint's embeddings",
            "lstm": "an LSTM trained from scratch",
        }

    def head(self, labels: Sequence[str], golds: Arrays | None = None) -> Head:
        """The bias is the mean score: or the first steps would only move the predictions from 0 to the scores."""
        bias = None if golds is None else [float(golds["labels"].mean(dtype=np.float64))]
        return Head({"num_labels": 1, "problem_type": "regression"}, bias)

    def loss(self, golds: Arrays, classes: int) -> Loss:
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

    def values(self, golds: Arrays, answers: Arrays, labels: Sequence[str]) -> dict[str, float]:
        loss = float(answers["loss"].mean(dtype=np.float64))
        return {"loss": loss, **regression.values(golds["labels"], answers["prediction"])}

    def score(
        self, golds: Arrays, answers: Arrays, labels: Sequence[str], *, evaluate: Evaluate, seed: int
    ) -> Sheet:
        gold, predicted = golds["labels"], answers["prediction"]
        scores = regression.scores(gold, predicted, resampling=resampling_of(evaluate, seed))
        if "loss" in answers:
            scores["loss"] = intervals.mean(answers["loss"], resampling=resampling_of(evaluate, seed))
        points = {"gold": gold[:SHOWN].tolist(), "predicted": predicted[:SHOWN].tolist()}
        return Sheet(scores, tuple(evaluate.metrics) or HEADLINE, {"scatter": points})

    def baselines(self, examples: Examples, part: str, seed: int) -> dict[str, Arrays]:
        from llmkit.models import baselines

        known, judged = (examples.corpus.splits[name].columns for name in ("train", part))
        gold = examples.golds["train"]["labels"]
        found: dict[str, Arrays] = {
            "mean": {"prediction": np.full(len(judged[self.gold]), gold.mean(dtype=np.float64))}
        }
        if len(self.texts) == 2:
            shares = [baselines.overlap(*(rows[name] for name in self.texts)) for rows in (known, judged)]
            found["overlap"] = {"prediction": baselines.line(shares[0], gold, shares[1])}
        else:
            texts = [tfidf_text(rows, self.texts) for rows in (known, judged)]
            found["tfidf_ridge"] = {"prediction": baselines.tfidf_ridge(texts[0], gold, texts[1])}
        return found

    def untuned(
        self, vectors: Vectors, golds: Mapping[str, Arrays], part: str, labels: Sequence[str]
    ) -> Arrays:
        from llmkit.models import baselines

        return {"prediction": baselines.ridge(vectors["train"], golds["train"]["labels"], vectors[part])}

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
        return regression.difference(
            golds["labels"],
            first["prediction"],
            second["prediction"],
            metric,
            resampling=resampling_of(evaluate, seed),
        )

    def right(self, golds: Arrays, answers: Arrays) -> None:
        return None

    def counts(self, golds: Arrays, labels: Sequence[str]) -> dict[str, int]:
        return {}

    def records(
        self, rows: Rows, answers: Arrays, labels: Sequence[str], golds: Arrays | None = None
    ) -> Iterator[dict[str, Any]]:
        for number, prediction in enumerate(answers["prediction"]):
            record: dict[str, Any] = {name: rows[name][number] for name in self.texts}
            if golds is not None:
                record["score"] = _as_written(golds["labels"][number])
            yield {**record, "prediction": float(prediction), "probability": None}

    def from_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        gold, predicted = (
            np.array([record[key] for record in records], np.float32) for key in ("score", "prediction")
        )
        return {"labels": gold}, {"prediction": predicted}

    def worst(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        far = sorted(records, key=lambda record: -abs(record["score"] - record["prediction"]))
        kept = (*self.texts, "score", "prediction", "place")
        return [{key: record[key] for key in kept} for record in far[:20]]


def _as_written(number: np.float32) -> float:
    """3.8 as it stood in the file, not 3.799999952316284."""
    return float(str(number))
