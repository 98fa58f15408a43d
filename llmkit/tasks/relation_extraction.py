"""Relation extraction: which relation holds between two marked entities of a text.

The entities are marked `<e1>...</e1>` and `<e2>...</e2>` in the text, or named in the columns `head` and `tail`. The
markers become tokens of the vocabulary. The main metric is the official one of SemEval-2010 task 8 (see
`metrics.tasks.relation`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from llmkit.base.errors import DataError, ErrorDetail, raise_if
from llmkit.data.checks.marked_entities import MARK_ENTITIES, UNMARKED, check_marked_entities
from llmkit.data.corpus import Corpus
from llmkit.data.encoding.features import Features
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.tasks import relation
from llmkit.recipe.schema import Data
from llmkit.tasks import classification
from llmkit.tasks._shared.classes import check_class, class_details
from llmkit.tasks.classification import Classification
from llmkit.tasks.protocol import Arrays, Examples, Rows, ScoreSheet, TaskSpec, same_names
from llmkit.text.markers import MARKERS, find_error

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Options", "RelationExtraction", "make"]

LOST = "texts that lost an entity to truncation"
NEGATIVES = ("Other", "unknown", "no_relation", "NA", "None")
OFFICIAL = {"f1": "semeval2010", "precision": "precision_semeval2010", "recall": "recall_semeval2010"}
WORDING = replace(
    classification.WORDING,
    title="relation extraction",
    purpose="predicts which relation holds between two marked entities of a text",
    about=(
        "The two entities of a text are marked: `<e1>Ann</e1> founded <e2>Acme</e2>.` The four markers are tokens that "
        "were added to the vocabulary and learned in this training. Texts without markers cannot be classified."
    ),
    class_names=("relation", "relations"),
    usage_input='"<e1>Ann</e1> founded <e2>Acme</e2>."',
    command_input='"<e1>Ann</e1> founded <e2>Acme</e2>."',
)

Value = TypeVar("Value")


class Options(classification.Options):
    """Task options of relation extraction, beside those of classification."""

    negative: str | None = None
    """The label for "no relation", left out of the macro average; null: Other, unknown, no_relation, NA or None."""


def make(options: Options, tuned: Mapping[str, Any]) -> RelationExtraction:
    """Make the task."""
    return RelationExtraction(options, tuned)


@dataclass(frozen=True)
class RelationExtraction(Classification):
    """Classification of a text with two marked entities."""

    options: Options

    @property
    def spec(self) -> TaskSpec:
        spec = super().spec
        return replace(
            spec,
            metrics=(*spec.metrics, *OFFICIAL.values()),
            wording=WORDING,
            optional_columns=same_names("head", "tail"),
            special_tokens=MARKERS,
        )

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        """Check the rows; a sentence that stands in several rows with other entities stays in one split."""
        corpus, errors = check_marked_entities(corpus)
        raise_if(errors, DataError)
        examples = self._check(corpus, data, seed, labels, text_column=UNMARKED)
        raise_if(check_class(self.options.negative, examples.labels, "task.negative"), DataError)
        return examples

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
        if not references:  # texts to predict, which nothing has checked
            errors = [
                ErrorDetail("L14", f'"{text[:40]}"', error, MARK_ENTITIES)
                for text in rows["text"]
                if (error := find_error(text))
            ]
            raise_if(errors, DataError)
        features = super().encode(rows, references, tokenizer, max_length=max_length, truncation=truncation)
        markers = {tokenizer.convert_tokens_to_ids(marker) for marker in MARKERS}
        lost = sum(not markers.issubset(ids) for ids in features.columns["input_ids"])
        return replace(features, notes={LOST: lost}) if lost else features

    def score(
        self,
        references: Arrays,
        predictions: Arrays,
        labels: Sequence[str],
        *,
        resampling: Resampling | None,
        metrics: Sequence[str] = (),
    ) -> ScoreSheet:
        sheet = super().score(references, predictions, labels, resampling=resampling, metrics=metrics)
        true, predicted, negative = references["labels"], predictions["prediction"], self._negative(labels)
        if resampling is None:
            official = _rename(relation.values(true, predicted, labels, negative=negative))
            return ScoreSheet.from_values({**sheet.values, **official}, predictions)
        scores = relation.scores(true, predicted, labels, negative=negative, resampling=resampling)
        per_relation = relation.per_relation(
            true, predicted, labels, negative=negative, confidence=resampling.confidence
        )
        return ScoreSheet(
            {**sheet.scores, **_rename(scores)},
            tuple(metrics) or ("semeval2010", "accuracy", "f1"),
            {**sheet.details, "per_class": class_details(per_relation)},
        )

    def _negative(self, labels: Sequence[str]) -> str | None:
        return self.options.negative or next((name for name in NEGATIVES if name in labels), None)

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
        name = next((name for name, official in OFFICIAL.items() if official == metric), None)
        if name is None:
            return super().difference(references, first, second, metric, labels, resampling=resampling)
        difference = relation.difference(
            references["labels"],
            first["prediction"],
            second["prediction"],
            labels,
            name,
            negative=self._negative(labels),
            resampling=resampling,
        )
        return replace(difference, metric=metric)


def _rename(scores: Mapping[str, Value]) -> dict[str, Value]:
    """Give the official scores names of their own: those of plain classification are the same."""
    return {official: scores[name] for name, official in OFFICIAL.items()}
