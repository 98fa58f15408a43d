"""Relation extraction: what holds between two marked entities of a text.

The entities are marked `<e1>...</e1>` and `<e2>...</e2>` in the text, or named in the columns `head` and `tail`. The
markers become tokens of the vocabulary. The score is SemEval-2010 task 8's (see `metrics.relation`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from llmkit.base.errors import DataError, ErrorDetail, raise_if, shorten_list, suggest
from llmkit.data.checks.columns import with_columns
from llmkit.data.checks.row_errors import RowError, collect_errors
from llmkit.data.corpus import Corpus, Split
from llmkit.data.encoding.features import Features
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.tasks import relation
from llmkit.recipe.schema import Data
from llmkit.tasks import classification
from llmkit.tasks.classification import Classification, per_class_details
from llmkit.tasks.protocol import Arrays, Examples, Rows, ScoreSheet, TaskSpec, same_names
from llmkit.text.markers import MARKERS, find_error, mark_entities, remove_markers

__all__ = ["Options", "RelationExtraction", "make"]

MARK = "mark the two entities as <e1>...</e1> and <e2>...</e2>"
SENTENCE = "unmarked"  # column of the text without its markers
LOST = "texts that lost an entity when they were cut"
NEGATIVES = ("Other", "unknown", "no_relation", "NA", "None")


class Options(classification.Options):
    """Task options of relation extraction, beside those of classification."""

    negative: str | None = None
    """The label for "no relation", left out of the macro average; null: Other, unknown, no_relation, NA or None."""


def make(options: Options, tuned: Mapping[str, Any]) -> RelationExtraction:
    """The task with these options."""
    return RelationExtraction(options, tuned)


class RelationExtraction(Classification):
    """Classification of a text with two marked entities; what differs from plain classification stands here."""

    options: Options

    @property
    def spec(self) -> TaskSpec:
        spec = super().spec
        return replace(
            spec,
            metrics=(*spec.metrics, "semeval2010", "precision_semeval2010", "recall_semeval2010"),
            optional_columns=same_names("head", "tail"),
            special_tokens=MARKERS,
        )

    @property
    def together(self) -> str:
        """The sentence without markers: it often stands in several rows, each with other entities."""
        return SENTENCE

    @property
    def headline(self) -> tuple[str, ...]:
        return ("semeval2010", "accuracy", "f1")

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        corpus, problems = _marked(corpus)
        raise_if(problems, DataError)
        examples = super().check(corpus, data, seed, labels)
        raise_if(self._no_negative(examples.labels), DataError)
        return examples

    def _no_negative(self, names: Sequence[str]) -> list[ErrorDetail]:
        negative = self.options.negative
        if negative is None or negative in names:
            return []
        message = f'"{negative}" is none of the labels{suggest(negative, names)}'
        return [ErrorDetail("L05", "task.negative", message, f"choose among {shorten_list(names, 20)}")]

    def _negative(self, labels: Sequence[str]) -> str | None:
        return self.options.negative or next((name for name in NEGATIVES if name in labels), None)

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
        if not references:  # texts to predict, which nothing has checked
            wrong = [(text, what) for text in rows["text"] if (what := find_error(text))]
            raise_if([ErrorDetail("L14", f'"{text[:40]}"', what, MARK) for text, what in wrong], DataError)
        features = super().encode(rows, references, tokenizer, max_length=max_length, truncation=truncation)
        markers = set(tokenizer.convert_tokens_to_ids(list(MARKERS)))
        lost = sum(not markers.issubset(ids) for ids in features.columns["input_ids"])
        return replace(features, notes={LOST: lost}) if lost else features

    def _values(self, references: Arrays, predictions: Arrays, labels: Sequence[str]) -> dict[str, float]:
        found = relation.values(
            references["labels"], predictions["prediction"], labels, negative=self._negative(labels)
        )
        return {**super()._values(references, predictions, labels), **_renamed(found)}

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
        if resampling is None:
            return sheet
        gold, predicted, negative = references["labels"], predictions["prediction"], self._negative(labels)
        found = relation.scores(gold, predicted, labels, negative=negative, resampling=resampling)
        per_relation = relation.per_relation(
            gold, predicted, labels, negative=negative, confidence=resampling.confidence
        )
        details = {**sheet.details, "per_class": per_class_details(per_relation)}
        return replace(sheet, scores={**sheet.scores, **_renamed(found)}, details=details)

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
        own = next((name for name, new in OWN.items() if new == metric), None)
        if own is None:
            return super().difference(references, first, second, metric, labels, resampling=resampling)
        found = relation.difference(
            references["labels"],
            first["prediction"],
            second["prediction"],
            labels,
            own,
            negative=self._negative(labels),
            resampling=resampling,
        )
        return replace(found, metric=metric)


OWN = {"f1": "semeval2010", "precision": "precision_semeval2010", "recall": "recall_semeval2010"}


def _renamed(found: Mapping[str, Any]) -> dict[str, Any]:
    """The official scores beside those of plain classification, which have the same names."""
    return {new: found[name] for name, new in OWN.items()}


def _marked(corpus: Corpus) -> tuple[Corpus, list[ErrorDetail]]:
    """The texts with their markers, from head and tail where these columns are there. L14 where it can't be done."""
    problems: list[ErrorDetail] = []
    parts = {}
    for name, part in corpus.splits.items():
        parts[name], found = _marked_part(part)
        problems += found
    fingerprint = sha256(f"{corpus.fingerprint}\nmarked".encode()).hexdigest()
    return Corpus(parts, fingerprint, corpus.notes), problems


def _marked_part(part: Split) -> tuple[Split, list[ErrorDetail]]:
    texts = list(part.column("text"))
    named = {"head", "tail"} <= set(part.rows.column_names) and not any("<e1>" in str(text) for text in texts)
    if not named:
        wrong = [(row, find_error(text)) for row, text in enumerate(texts) if isinstance(text, str)]
        problems = _problems(
            part,
            [(row, f"the text {what}") for row, what in wrong if what],
            f"{MARK}, or name them in columns head and tail",
        )
        plain = [remove_markers(text) if isinstance(text, str) else text for text in texts]
        return (part if problems else with_columns(part, {SENTENCE: plain})), problems
    marked, missing = [], []
    for row, entities in enumerate(zip(texts, part.column("head"), part.column("tail"), strict=True)):
        text, *pair = entities
        what = _absent(text, *pair) if isinstance(text, str) else None  # checked later
        missing += [(row, what)] if what else []
        marked.append(mark_entities(text, *pair) if isinstance(text, str) and not what else text)
    problems = _problems(part, missing, "write the entities as they stand in the text")
    columns = {"text": marked, SENTENCE: texts}
    return (part if problems else with_columns(part, columns)), problems


def _absent(text: str, head: object, tail: object) -> str | None:
    """Which entity can't be marked, and why."""
    for name, entity in (("head", head), ("tail", tail)):
        if not isinstance(entity, str) or not entity.strip():
            return f'the column "{name}" is {json.dumps(entity, ensure_ascii=False, default=str)[:40]}, no entity'
        if entity not in text:
            return f'the entity "{entity}" does not stand in the text'
    return None


def _problems(part: Split, rows: Sequence[tuple[int, str]], fix: str) -> list[ErrorDetail]:
    return collect_errors((part.place(row), RowError("L14", message, fix)) for row, message in rows)
