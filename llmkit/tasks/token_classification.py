"""Token classification: the type of each word of a sentence (named entities, IOB2 inside, any scheme in the files).

A word's label is decided at its first sub-token, as in BERT (Devlin et al. 2019, section 5.3). Sentences longer than
one input are read in overlapping windows, each word being decided once. Shapes: B windows, L tokens, C labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

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
from llmkit.metrics import intervals
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import ratio
from llmkit.metrics.tasks import entities
from llmkit.recipe.schema import Data, Section
from llmkit.tasks._shared.baselines import entity_baselines
from llmkit.tasks._shared.texts import named_classes
from llmkit.tasks.classification import per_class_details
from llmkit.tasks.protocol import (
    Arrays,
    Examples,
    Head,
    Loss,
    Plain,
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

__all__ = ["Options", "TokenClassification", "make"]

HEADLINE = ("f1", "precision", "recall")


class Options(Section):
    """Task options of token classification."""

    scheme: Literal["auto", "IOB1", "IOB2", "BIOES", "BMES"] = "auto"
    """How the files write entities; auto: found from the training rows."""
    repair_tags: bool = False
    """Read tags that can't stand where they do as conlleval does (an I- that continues nothing begins an entity)."""
    spans: bool = False
    """Rows are texts with character spans (`text`, `entities`) instead of `tokens` and `tags`."""
    strict: bool = False
    """Score entities as strict IOB2: what does not begin with B- is none."""
    stride: int = Field(default=32, ge=0)
    """Tokens that two neighbouring windows of a long sentence share; at most half of train.max_length."""


def make(options: Options, tuned: Mapping[str, Any]) -> TokenClassification:
    """The task with these options."""
    return TokenClassification(options, tuned)


@dataclass(frozen=True)
class TokenClassification(Plain):
    """Entities of sentences; see `protocol.Task` for what each part is."""

    options: Options
    tuned: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(
            auto_class="AutoModelForTokenClassification",
            columns=same_names("text", "entities") if self.options.spans else same_names("tokens", "tags"),
            inputs=("text",),
            identity=("text", "tags"),
            metrics=tuple(entities.METRICS),
            baselines=entity_baselines(),
            tuned=self.tuned,
        )

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        found = check_tagged_sentences(
            corpus,
            data,
            scheme=self.options.scheme,
            model_labels=labels,
            repair=self.options.repair_tags,
            spans=self.options.spans,
            seed=seed if labels is None else None,
        )
        raise_if(list(found.errors), DataError)
        references = {part: {"tags": ids} for part, ids in found.references.items()}
        return Examples(
            _named_by(found.corpus, data.labels),
            found.labels,
            references,
            tuple(found.notes),
            found.near_duplicates,
            {split: _count_entities(own["tags"], found.labels) for split, own in references.items()},
        )

    def head(self, labels: Sequence[str], references: Arrays | None = None) -> Head:
        config = named_classes(labels, "")
        del config["problem_type"]
        return Head(config)

    def encode(
        self,
        rows: Rows,
        references: Arrays,
        tokenizer: Any,
        *,
        max_length: int,
        truncation: bool,
        training: bool = False,
    ) -> Features:
        return encode_words(
            tokenizer,
            _sentences(rows).tokens,
            list(references["tags"]) if references else None,
            max_length=max_length,
            stride=self.options.stride,
        )

    def loss(self, references: Arrays, classes: int) -> Loss:
        def of_batch(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses

            return losses.tokens(model(**model_inputs(batch)).logits, batch["labels"])

        return of_batch

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        from torch.nn import functional

        logits_BLC = at_least_float32(model(**model_inputs(batch)).logits)
        probs_BL, labels_BL = logits_BLC.softmax(-1).max(-1)
        decoded = {"labels": labels_BL.int(), "probabilities": probs_BL}
        if "labels" in batch:
            losses_BL = functional.cross_entropy(
                logits_BLC.transpose(1, 2), batch["labels"], ignore_index=-100, reduction="none"
            )
            decoded["loss"] = losses_BL.sum(-1)
        return decoded

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        """tags (N,) and probabilities (N,) of lists by word; loss (N,) summed over the words that have a token, and
        words (N,) their number."""
        lengths = [len(tokens) for tokens in _sentences(rows).tokens]
        tags = [np.zeros(length, np.int64) for length in lengths]
        probabilities = [np.ones(length) for length in lengths]
        loss, decided = np.zeros(len(lengths)), np.zeros(len(lengths), np.int64)
        for window, example in enumerate(encoded.examples):
            word_of = np.asarray(encoded.decode_columns["words"][window])
            at = np.flatnonzero(word_of != NO_WORD)
            tags[example][word_of[at]] = outputs["labels"][window, at]
            probabilities[example][word_of[at]] = outputs["probabilities"][window, at]
            loss[example] += outputs["loss"][window] if "loss" in outputs else 0
            decided[example] += len(at)
        found: dict[str, NDArray[Any]] = {
            "tags": object_array(tags),
            "probabilities": object_array(probabilities),
        }
        return {**found, "loss": loss, "words": decided} if "loss" in outputs else found

    def tune(self, references: Arrays, predictions: Arrays) -> Mapping[str, Any]:
        return {}

    def _values(self, references: Arrays, predictions: Arrays, labels: Sequence[str]) -> dict[str, float]:
        gold, found = _canonical(labels, references["tags"], predictions["tags"])
        statistics = entities.count_entities(gold, found, _types(labels), strict=self.options.strict)
        sums = statistics.sum(0)
        loss = float(predictions["loss"].sum() / max(1, predictions["words"].sum()))
        return {"loss": loss, **{name: float(m.score(sums)) for name, m in entities.METRICS.items()}}

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
        gold, found = _canonical(labels, references["tags"], predictions["tags"])
        types, strict = _types(labels), self.options.strict
        scores = entities.scores(gold, found, types, strict=strict, resampling=resampling)
        per_type = entities.per_type(gold, found, types, strict=strict, confidence=resampling.confidence)
        if "loss" in predictions:
            statistics = np.stack([predictions["loss"], predictions["words"]], axis=1)
            scores["loss"] = intervals.bootstrap(
                statistics, lambda sums: ratio(sums[..., 0], sums[..., 1]), resampling=resampling
            )
        return ScoreSheet(scores, tuple(metrics) or HEADLINE, {"per_class": per_class_details(per_type)})

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
        gold, one, other = _canonical(labels, references["tags"], first["tags"], second["tags"])
        strict = self.options.strict
        return entities.difference(
            gold, one, other, _types(labels), metric, strict=strict, resampling=resampling
        )

    def correct(self, references: Arrays, predictions: Arrays) -> NDArray[np.bool_]:
        pairs = zip(references["tags"], predictions["tags"], strict=True)
        return np.array([np.array_equal(gold, found) for gold, found in pairs], bool)

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[dict[str, Any]]:
        """entities and prediction are lists of {start, end, label, text}, in characters of `text`."""
        _types(labels)
        sentences = _sentences(rows)
        for number, ids in enumerate(predictions["tags"]):
            place = sentences.texts[number], sentences.offsets[number]
            found = _entities(*place, _named(ids, labels), predictions["probabilities"][number])
            record: dict[str, Any] = {"text": place[0]}
            if references is not None:
                gold = _named(references["tags"][number], labels)
                record |= {"tags": gold, "predicted_tags": _named(ids, labels)}
                record["entities"] = _entities(*place, gold, None)
            record["prediction"] = found
            record["probability"] = min((entity["probability"] for entity in found), default=None)
            yield record

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        numbers = {name: number for number, name in enumerate(labels)}
        gold, found = (
            object_array([np.array([numbers[tag] for tag in record[key]], np.int64) for record in records])
            for key in ("tags", "predicted_tags")
        )
        return {"tags": gold}, {"tags": found}

    def worst_errors(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Sentences with the most wrong words."""
        wrong = [
            (sum(a != b for a, b in zip(record["tags"], record["predicted_tags"], strict=True)), record)
            for record in records
        ]
        wrong.sort(key=lambda pair: -pair[0])
        return [
            {
                "text": record["text"],
                "label": _listed(record["entities"]),
                "prediction": _listed(record["prediction"]),
                "place": record["place"],
            }
            for count, record in wrong[:20]
            if count
        ]


def _count_entities(tags: NDArray[np.object_], labels: Sequence[str]) -> dict[str, int]:
    """Count the entities of each type."""
    ids = np.concatenate([np.zeros(0, np.int64), *tags])
    numbers = {name: number for number, name in enumerate(labels)}
    return {name: int((ids == numbers[f"B-{name}"]).sum()) for name in _types(labels)}


def _named_by(corpus: Corpus, names: Sequence[str] | None) -> Corpus:
    """With another fingerprint for other names of the tags' numbers: the encoded labels are kept by it."""
    if names is None:
        return corpus
    return replace(corpus, fingerprint=sha256(f"{corpus.fingerprint}\n{names}".encode()).hexdigest())


@dataclass(frozen=True)
class _Sentences:
    """Words of each example, their text, and where each stands in it (start, end in characters)."""

    tokens: Sequence[Sequence[str]]
    texts: Sequence[str]
    offsets: Sequence[Sequence[Sequence[int]]]


def _sentences(rows: Rows) -> _Sentences:
    """Rows that were checked know their words; a bare text is split by rule."""
    if "tokens" in rows:
        return _Sentences(rows["tokens"], rows["text"], rows["offsets"])
    offsets = [split_words(text) for text in rows["text"]]
    tokens = [[text[a:b] for a, b in spans] for text, spans in zip(rows["text"], offsets, strict=True)]
    return _Sentences(tokens, rows["text"], offsets)


def _types(labels: Sequence[str]) -> list[str]:
    """Raises ModelError M11 for the labels of a model that tags no entities (parts of speech, for instance)."""
    try:
        return schemes.collect_types([labels])
    except ValueError as error:
        message = f"the model's labels do not mark entities ({error})"
        fix = "use a model with labels like B-PER and I-PER"
        raise ModelError("M11", "", message, fix) from error


def _canonical(labels: Sequence[str], *sequences: NDArray[np.object_]) -> list[NDArray[np.object_]]:
    """Label ids as `schemes.labels` numbers them; a model from elsewhere may have another order, or scheme."""
    types = _types(labels)
    own = schemes.make_labels(types)
    if list(labels) == own:
        return list(sequences)
    if not set(labels) <= set(own):
        tags = ([schemes.to_iob2(_named(ids, labels)) for ids in rows] for rows in sequences)
        return [object_array(map(np.array, schemes.tags_to_ids(rows, types))) for rows in tags]
    number = np.array([own.index(label) for label in labels])
    return [object_array([number[ids] for ids in rows]) for rows in sequences]


def _named(ids: Sequence[int] | NDArray[Any], labels: Sequence[str]) -> list[str]:
    return [labels[int(number)] for number in ids]


def _entities(
    text: str,
    offsets: Sequence[Sequence[int]],
    tags: Sequence[str],
    probabilities: NDArray[Any] | None,
) -> list[dict[str, Any]]:
    """An entity is as probable as its least probable word."""
    found = []
    for span in schemes.tags_to_spans(tags):
        start, end = int(offsets[span.start][0]), int(offsets[span.end - 1][1])
        entity: dict[str, Any] = {"start": start, "end": end, "label": span.label, "text": text[start:end]}
        if probabilities is not None:
            entity["probability"] = float(probabilities[span.start : span.end].min())
        found.append(entity)
    return found


def _listed(found: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{entity['text']} ({entity['label']})" for entity in found) or "none"
