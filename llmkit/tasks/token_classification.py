"""Token classification: the type of each word of a sentence (named entities; IOB2 inside, any scheme in the files).

A word's label is predicted at its first sub-token, as in BERT (Devlin et al. 2019, section 5.3). Sentences longer than
max_length are read in overlapping windows, and each word is predicted in one of them.

Shapes: B windows, N examples, L tokens, C labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from llmkit.base.dtypes import at_least_float32
from llmkit.base.errors import DataError, ModelError, raise_if
from llmkit.data.checks.columns import object_array
from llmkit.data.checks.tagged_sentences import check_tagged_sentences
from llmkit.data.corpus import Corpus
from llmkit.data.encoding.features import Encoded, Features
from llmkit.data.encoding.windows import NO_WORD, encode_words
from llmkit.data.reading.entity_rows import find_entity_form
from llmkit.metrics import intervals
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import ratio
from llmkit.metrics.tasks import entities
from llmkit.recipe.schema import Data, Section
from llmkit.report.wording import Wording
from llmkit.tasks._shared.baselines import entity_baselines
from llmkit.tasks._shared.classes import class_config, class_details
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
    model_inputs,
    same_names,
)
from llmkit.text import tags as schemes
from llmkit.text.words import split_words

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

__all__ = ["Options", "TokenClassification", "make"]

HEADLINE = ("f1", "precision", "recall")
WORDING = Wording(
    title="token classification",
    purpose="finds the entities in a text",
    class_names=("entity type", "entity types"),
    counts=("Entities by type", "Entity type"),
    errors=("Worst sentences", "Sentences with the most wrong words, worst first"),
    error_columns={"label": "Reference entities", "prediction": "Predicted entities"},
    reads_windows=True,
    pipeline="token-classification",
    usage="tag_words",
)


class Options(Section):
    """Task options of token classification."""

    scheme: Literal["auto", "IOB1", "IOB2", "BIOES", "BMES"] = "auto"
    """How the files tag entities; auto: detected from the training set."""
    repair_tags: bool = False
    """Accept tags that the scheme does not allow in their position, and read them as conlleval does (an I- tag that
    continues no entity begins one)."""
    spans: bool | None = None
    """Whether rows are texts with character spans (`text`, `entities`) instead of `tokens` and `tags`; null: recognized
    from the rows."""
    strict: bool = False
    """Score entities as strict IOB2: only a B- tag begins an entity."""
    stride: int = Field(default=32, ge=0)
    """Tokens that two neighbouring windows of a long sentence share; at most half of train.max_length."""


def make(options: Options, tuned: Mapping[str, Any]) -> TokenClassification:
    """Make the task."""
    return TokenClassification(options, tuned)


@dataclass(frozen=True)
class TokenClassification:
    """Entities of sentences."""

    options: Options
    tuned: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(
            auto_class="AutoModelForTokenClassification",
            columns=same_names("text", "entities") if self.options.spans else same_names("tokens", "tags"),
            optional_columns=same_names("text", "entities") if self.options.spans is None else {},
            recognize=partial(find_entity_form, spans=self.options.spans),
            inputs=("text",),
            identity=("text", "tags"),
            metrics=tuple(entities.METRICS),
            wording=WORDING,
            baselines=entity_baselines(),
            tuned=self.tuned,
        )

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        checked = check_tagged_sentences(
            corpus,
            data,
            scheme=self.options.scheme,
            model_labels=labels,
            repair=self.options.repair_tags,
            seed=seed if labels is None else None,
        )
        raise_if(list(checked.errors), DataError)
        corpus = checked.corpus
        if (
            data.labels is not None
        ):  # encoded labels are cached by the fingerprint, so other names need another one
            digest = sha256(f"{corpus.fingerprint}\n{data.labels}".encode()).hexdigest()
            corpus = replace(corpus, fingerprint=digest)
        counts: dict[str, dict[str, int]] = {}
        if labels is None:
            counts = {
                split: _count_entities(ids, checked.labels) for split, ids in checked.references.items()
            }
        return Examples(
            corpus,
            checked.labels,
            {split: {"tags": ids} for split, ids in checked.references.items()},
            tuple(checked.notes),
            checked.near_duplicates,
            counts,
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
        return encode_words(
            tokenizer,
            _read_sentences(rows).tokens,
            list(references["tags"]) if references else None,
            max_length=max_length,
            stride=self.options.stride,
        )

    def bind(self, config: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> Self:
        return self

    def head(self, labels: Sequence[str], references: Arrays | None = None) -> Head:
        return Head(class_config(labels))

    def augment(self, batch: dict[str, Tensor], seeds: NDArray[np.int64]) -> dict[str, Tensor]:
        return batch

    def loss(self, references: Arrays, num_classes: int) -> Loss:
        def compute_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses

            return losses.tokens(model(**model_inputs(batch)).logits, batch["labels"])

        return compute_loss

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        """Return the most likely label and its probability at each token, and each window's loss."""
        from torch.nn import functional

        logits_BLC = at_least_float32(model(**model_inputs(batch)).logits)
        probs_BL, labels_BL = logits_BLC.softmax(-1).max(-1)
        outputs = {"labels": labels_BL.int(), "probabilities": probs_BL}
        if "labels" in batch:
            losses_BL = functional.cross_entropy(
                logits_BLC.transpose(1, 2), batch["labels"], ignore_index=-100, reduction="none"
            )
            outputs["loss"] = losses_BL.sum(-1)
        return outputs

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        """Return `tags` and `probabilities`, (N,) of lists by word.

        With references also `loss`, (N,), summed over the words that have a token, and `words`, (N,), their number.
        """
        lengths = [len(tokens) for tokens in _read_sentences(rows).tokens]
        tags = [np.zeros(length, np.int64) for length in lengths]
        probabilities = [np.ones(length) for length in lengths]
        loss, words = np.zeros(len(lengths)), np.zeros(len(lengths), np.int64)
        for window, example in enumerate(encoded.examples):
            word_of_token = np.asarray(encoded.decode_columns["words"][window])
            at = np.flatnonzero(word_of_token != NO_WORD)
            tags[example][word_of_token[at]] = outputs["labels"][window, at]
            probabilities[example][word_of_token[at]] = outputs["probabilities"][window, at]
            loss[example] += outputs["loss"][window] if "loss" in outputs else 0
            words[example] += len(at)
        predictions: dict[str, NDArray[Any]] = {
            "tags": object_array(tags),
            "probabilities": object_array(probabilities),
        }
        return {**predictions, "loss": loss, "words": words} if "loss" in outputs else predictions

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
        types, strict = _collect_types(labels), self.options.strict
        true, predicted = _renumber(labels, references["tags"], predictions["tags"])
        if resampling is None:
            counts = entities.count_entities(true, predicted, types, strict=strict).sum(0)
            loss = float(predictions["loss"].sum() / max(1, predictions["words"].sum()))
            values = {name: float(metric.score(counts)) for name, metric in entities.METRICS.items()}
            return ScoreSheet.from_values({"loss": loss, **values}, predictions)
        scores = entities.scores(true, predicted, types, strict=strict, resampling=resampling)
        per_type = entities.per_type(true, predicted, types, strict=strict, confidence=resampling.confidence)
        if "loss" in predictions:
            statistics = np.stack([predictions["loss"], predictions["words"]], axis=1)
            scores["loss"] = intervals.bootstrap(
                statistics, lambda sums: ratio(sums[..., 0], sums[..., 1]), resampling=resampling
            )
        return ScoreSheet(scores, tuple(metrics) or HEADLINE, {"per_class": class_details(per_type)})

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
        true, first_tags, second_tags = _renumber(labels, references["tags"], first["tags"], second["tags"])
        return entities.difference(
            true,
            first_tags,
            second_tags,
            _collect_types(labels),
            metric,
            strict=self.options.strict,
            resampling=resampling,
        )

    def correct(self, references: Arrays, predictions: Arrays) -> NDArray[np.bool_]:
        """Return which sentences have the right tag at every word."""
        pairs = zip(references["tags"], predictions["tags"], strict=True)
        return np.array([np.array_equal(true, predicted) for true, predicted in pairs], bool)

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[Record]:
        """Yield records whose `entities` and `prediction` are lists of {start, end, label, text} in characters."""
        _collect_types(labels)
        sentences = _read_sentences(rows)
        for number, ids in enumerate(predictions["tags"]):
            text, offsets = sentences.texts[number], sentences.offsets[number]
            tags = _name_tags(ids, labels)
            predicted = _find_entities(text, offsets, tags, predictions["probabilities"][number])
            record: Record = {"text": text}
            if references is not None:
                true_tags = _name_tags(references["tags"][number], labels)
                record |= {"tags": true_tags, "predicted_tags": tags}
                record["entities"] = _find_entities(text, offsets, true_tags)
            record["prediction"] = predicted
            record["probability"] = min((entity["probability"] for entity in predicted), default=None)
            yield record

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        numbers = {name: number for number, name in enumerate(labels)}
        true, predicted = (
            object_array([np.array([numbers[tag] for tag in record[key]], np.int64) for record in records])
            for key in ("tags", "predicted_tags")
        )
        return {"tags": true}, {"tags": predicted}

    def worst_errors(self, records: Sequence[Record]) -> list[Record]:
        """Return the sentences with the most wrong words."""
        counted = [
            (sum(a != b for a, b in zip(record["tags"], record["predicted_tags"], strict=True)), record)
            for record in records
        ]
        counted.sort(key=lambda pair: -pair[0])
        return [
            {
                "text": record["text"],
                "label": _list_entities(record["entities"]),
                "prediction": _list_entities(record["prediction"]),
                "place": record["place"],
            }
            for count, record in counted[:MAX_ERRORS]
            if count
        ]


@dataclass(frozen=True)
class _Sentences:
    """Words of each example, its text, and where each word is in it (start, end in characters)."""

    tokens: Sequence[Sequence[str]]
    texts: Sequence[str]
    offsets: Sequence[Sequence[Sequence[int]]]


def _read_sentences(rows: Rows) -> _Sentences:
    """Read the words of rows that were checked; bare texts are split into words by rule."""
    if "tokens" in rows:
        return _Sentences(rows["tokens"], rows["text"], rows["offsets"])
    offsets = [split_words(text) for text in rows["text"]]
    tokens = [[text[a:b] for a, b in spans] for text, spans in zip(rows["text"], offsets, strict=True)]
    return _Sentences(tokens, rows["text"], offsets)


def _collect_types(labels: Sequence[str]) -> list[str]:
    """Return the entity types of the labels.

    Raises:
        ModelError: M11 for a model that tags no entities (but, for instance, parts of speech).
    """
    try:
        return schemes.collect_types([labels])
    except ValueError as error:
        message = f"the model's labels do not mark entities ({error})"
        fix = "use a model with labels like B-PER and I-PER"
        raise ModelError("M11", "", message, fix) from error


def _count_entities(tags: NDArray[np.object_], labels: Sequence[str]) -> dict[str, int]:
    """Count the entities of each type."""
    ids = np.concatenate([np.zeros(0, np.int64), *tags])
    numbers = {name: number for number, name in enumerate(labels)}
    return {name: int((ids == numbers[f"B-{name}"]).sum()) for name in _collect_types(labels)}


def _renumber(labels: Sequence[str], *sequences: NDArray[np.object_]) -> list[NDArray[np.object_]]:
    """Number labels as `schemes.make_labels` does; a model from elsewhere may have another order or scheme."""
    types = _collect_types(labels)
    ordered = schemes.make_labels(types)
    if list(labels) == ordered:
        return list(sequences)
    if not set(labels) <= set(ordered):
        tags = ([schemes.to_iob2(_name_tags(ids, labels)) for ids in rows] for rows in sequences)
        return [object_array(map(np.array, schemes.tags_to_ids(rows, types))) for rows in tags]
    number = np.array([ordered.index(label) for label in labels])
    return [object_array([number[ids] for ids in rows]) for rows in sequences]


def _name_tags(ids: Sequence[int] | NDArray[np.int64], labels: Sequence[str]) -> list[str]:
    return [labels[int(number)] for number in ids]


def _find_entities(
    text: str,
    offsets: Sequence[Sequence[int]],
    tags: Sequence[str],
    probabilities: NDArray[np.float64] | None = None,
) -> list[Record]:
    """Return the entities of a sentence; each is as probable as its least probable word."""
    found = []
    for span in schemes.tags_to_spans(tags):
        start, end = int(offsets[span.start][0]), int(offsets[span.end - 1][1])
        entity: Record = {"start": start, "end": end, "label": span.label, "text": text[start:end]}
        if probabilities is not None:
            entity["probability"] = float(probabilities[span.start : span.end].min())
        found.append(entity)
    return found


def _list_entities(found: Sequence[Mapping[str, Any]]) -> str:
    """Write entities in one line for the report."""
    return ", ".join(f"{entity['text']} ({entity['label']})" for entity in found) or "none"
