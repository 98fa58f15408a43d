"""Extractive question answering: the answer is a span of a text of any length.

The text is read in overlapping windows, each with the question before it (Devlin et al. 2019, section 4.3). The
answer is the span with the highest sum of its first and last token's logits over all windows; "no answer" scores what
the first token does, in the window where that is lowest. Shapes: B windows, L tokens, A longest answer in tokens,
K best spans of a window.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from llmkit.base.dtypes import at_least_float32
from llmkit.base.errors import DataError, raise_if
from llmkit.data.checks.columns import object_array
from llmkit.data.checks.questions import check_questions
from llmkit.data.corpus import Corpus
from llmkit.data.encoding.features import Encoded, Features
from llmkit.data.encoding.windows import encode_contexts
from llmkit.metrics import intervals
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import ratio
from llmkit.metrics.tasks import extractive_qa
from llmkit.metrics.tasks.answer_matching import Rules, has_answer
from llmkit.recipe.schema import Data, Section
from llmkit.tasks._shared.baselines import question_baselines
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
from llmkit.text.sentences import sentence_around

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["ExtractiveQA", "Options", "make"]

BEST = 20  # spans kept of each window
WRITTEN = 5  # spans written for each question
OUTSIDE = -1e30  # logit of a token that is not of the context; two of them still fit float32
HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")


class Options(Section):
    """Task options of extractive question answering."""

    unanswerable: bool = False
    """Some questions have no answer in their text (SQuAD 2.0)."""
    rules: Literal["auto", "squad", "squad_v2", "cmrc"] = "auto"
    """Whose exact match and F1; auto: squad_v2 with unanswerable, else cmrc for Chinese answers, else squad."""
    stride: int = Field(default=128, ge=0)
    """Tokens that two neighbouring windows of a text share; at most a third of train.max_length."""
    max_answer_length: int = Field(default=30, ge=1)
    """Longest answer that is looked for, in tokens."""

    @model_validator(mode="after")
    def _rules_fit(self) -> Options:
        if self.unanswerable and self.rules in ("squad", "cmrc"):
            raise ValueError(f"the rules of {self.rules} have no questions without an answer; use squad_v2")
        return self


def make(options: Options, tuned: Mapping[str, Any]) -> ExtractiveQA:
    """The task with these options."""
    return ExtractiveQA(options, tuned)


@dataclass(frozen=True)
class ExtractiveQA(Plain):
    """A span of the context for each question; see `protocol.Task` for what each part is."""

    options: Options
    tuned: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(
            auto_class="AutoModelForQuestionAnswering",
            columns=same_names("question", "context", "answers"),
            optional_columns=same_names("id", "answer_start", "is_impossible"),
            inputs=("question", "context"),
            identity=("question", "answers"),
            metrics=extractive_qa.metric_names("squad_v2" if self.options.unanswerable else "squad"),
            baselines=question_baselines(unanswerable=self.options.unanswerable),
            can_tune=self.options.unanswerable,
            tuned=self.tuned,
        )

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        corpus, references, problems, notes = check_questions(
            corpus, data, unanswerable=self.options.unanswerable, seed=seed if labels is None else None
        )
        raise_if(problems, DataError)
        counts = {split: _count_answerable(own) for split, own in references.items()}
        return Examples(corpus, (), references, tuple(notes), label_counts=counts)

    def head(self, labels: Sequence[str], references: Arrays | None = None) -> Head:
        return Head(
            {"num_labels": 2}
        )  # start and end; a checkpoint trained for three classes would make three

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
        return encode_contexts(
            tokenizer,
            rows["question"],
            rows["context"],
            _first_answers(references) if references else None,
            max_length=max_length,
            stride=self.options.stride,
            truncation=truncation,
        )

    def loss(self, references: Arrays, classes: int) -> Loss:
        def of_batch(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses

            found = model(**model_inputs(batch))
            return losses.span(
                _within(found.start_logits, batch),
                _within(found.end_logits, batch),
                batch["start"][:, 0],
                batch["end"][:, 0],
            )

        return of_batch

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        from torch.nn import functional

        found = model(**model_inputs(batch))
        start_BL, end_BL = (_within(x, batch) for x in (found.start_logits, found.end_logits))
        length, longest = start_BL.shape[1], min(self.options.max_answer_length, start_BL.shape[1])
        inside_BL = batch["context"].bool()
        padded = functional.pad(end_BL.masked_fill(~inside_BL, OUTSIDE), (0, longest - 1), value=OUTSIDE)
        starts_BL1 = start_BL.masked_fill(~inside_BL, OUTSIDE)[:, :, None]
        scores_BM = (starts_BL1 + padded.unfold(1, longest, 1)).flatten(1)  # (B, L A): span [l, l + a]
        null_B = start_BL[:, 0] + end_BL[:, 0]
        scores_BM = functional.pad(scores_BM, (0, max(0, BEST - length * longest)), value=OUTSIDE)
        best_BK, at_BK = scores_BM.topk(BEST)
        decoded = {
            "scores": best_BK,
            "first": at_BK // longest,
            "last": at_BK // longest + at_BK % longest,
            "null": null_B,
            "total": scores_BM.logsumexp(1),
        }
        if "start" in batch:
            targets = zip((start_BL, end_BL), ("start", "end"), strict=True)
            parts = [functional.cross_entropy(x, batch[name][:, 0], reduction="none") for x, name in targets]
            decoded["loss"] = (parts[0] + parts[1]) / 2
        return decoded

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        """By question: texts (N,), spans (N,) lists of (start, end, probability), best first, null_difference (N,)."""
        contexts = rows["context"]
        of_each = zip(contexts, _windows_of(encoded, len(contexts)), strict=True)
        spans = [_best_spans(outputs, encoded, these, context) for context, these in of_each]
        gaps = np.array([found.null_difference for found in spans])
        texts = [
            "" if self._is_null(gap) else context[found.spans[0].start : found.spans[0].end]
            for gap, found, context in zip(gaps, spans, contexts, strict=True)
        ]
        predictions: dict[str, NDArray[Any]] = {
            "texts": object_array(texts),
            "spans": object_array([found.spans for found in spans]),
            "null_difference": gaps,
            "null_probability": np.array([found.null_probability for found in spans]),
            "best": object_array(
                [c[s.spans[0].start : s.spans[0].end] for s, c in zip(spans, contexts, strict=True)]
            ),
        }
        if "loss" in outputs:
            predictions["loss"] = np.bincount(encoded.examples, outputs["loss"], minlength=len(contexts))
            predictions["windows"] = np.bincount(encoded.examples, minlength=len(contexts))
        return predictions

    def _is_null(self, difference: float) -> bool:
        return self.options.unanswerable and difference > float(self.tuned.get("null_threshold", 0.0))

    def tune(self, references: Arrays, predictions: Arrays) -> Mapping[str, Any]:
        """The threshold of the null score that gives the best F1 on these questions."""
        answerable = np.array([has_answer(texts) for texts in references["answers"]])
        match = extractive_qa.match_answers(
            list(references["answers"]), list(predictions["best"]), self._rules(references)
        )
        correctness = np.where(answerable, match[:, 1], 0.0)
        threshold, _ = extractive_qa.best_threshold(predictions["null_difference"], answerable, correctness)
        return {"null_threshold": threshold}

    def _match(self, references: Arrays, texts: NDArray[np.object_]) -> NDArray[np.float64]:
        """Exact match and F1 of each text, (N, 2)."""
        return extractive_qa.match_answers(list(references["answers"]), list(texts), self._rules(references))

    def _rules(self, references: Arrays) -> Rules:
        """Chinese where at least half of the gold answers hold a Chinese character."""
        if self.options.rules != "auto":
            return self.options.rules
        if self.options.unanswerable:
            return "squad_v2"
        texts = [text for predictions in references["answers"] for text in predictions[:1]]
        return "cmrc" if 2 * sum(bool(HAN.search(text)) for text in texts) >= max(1, len(texts)) else "squad"

    def _values(self, references: Arrays, predictions: Arrays, labels: Sequence[str]) -> dict[str, float]:
        found = extractive_qa.match_answers(
            list(references["answers"]), list(predictions["texts"]), self._rules(references)
        )
        answerable = np.array([has_answer(texts) for texts in references["answers"]])
        values = {
            "loss": float(predictions["loss"].sum() / max(1, predictions["windows"].sum())),
            "exact_match": float(found[:, 0].mean()),
            "f1": float(found[:, 1].mean()),
        }
        if self.options.unanswerable:
            values["has_answer_exact_match"] = _mean(found[answerable, 0])
            values["has_answer_f1"] = _mean(found[answerable, 1])
            values["no_answer_accuracy"] = _mean(found[~answerable, 0])
        return values

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
        scores = extractive_qa.scores(
            list(references["answers"]),
            list(predictions["texts"]),
            self._rules(references),
            groups=_passages(references),
            resampling=resampling,
        )
        details: dict[str, Any] = {}
        if "loss" in predictions:
            statistics = np.stack([predictions["loss"], predictions["windows"]], axis=1)
            scores["loss"] = intervals.bootstrap(
                statistics,
                lambda sums: ratio(sums[..., 0], sums[..., 1]),
                groups=_passages(references),
                resampling=resampling,
            )
        if "null_threshold" in self.tuned:
            details["thresholds"] = {"no answer": self.tuned["null_threshold"]}
        return ScoreSheet(scores, tuple(metrics) or ("exact_match", "f1"), details)

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
        return extractive_qa.difference(
            list(references["answers"]),
            list(first["texts"]),
            list(second["texts"]),
            self._rules(references),
            metric,
            groups=_passages(references),
            resampling=resampling,
        )

    def correct(self, references: Arrays, predictions: Arrays) -> NDArray[np.bool_]:
        found = extractive_qa.match_answers(
            list(references["answers"]), list(predictions["texts"]), self._rules(references)
        )
        hits: NDArray[np.bool_] = found[:, 0] > 0.5
        return hits

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[dict[str, Any]]:
        """prediction is "" for no answer; start and end count characters of the context, sentence is the one around."""
        for number, text in enumerate(predictions["texts"]):
            record: dict[str, Any] = {"id": rows["id"][number]} if "id" in rows else {}
            record["question"] = rows["question"][number]
            if references is not None:
                record["answers"] = list(references["answers"][number])
                record["group"] = int(references["groups"][number])
            context, spans = rows["context"][number], predictions["spans"][number]
            yield record | self._said(text, context, spans, float(predictions["null_probability"][number]))

    def _said(self, text: str, context: str, spans: Sequence[_Span], null: float) -> dict[str, Any]:
        best = [
            {
                "text": context[span.start : span.end],
                "start": span.start,
                "end": span.end,
                "probability": span.probability,
            }
            for span in spans[:WRITTEN]
        ]
        if not text:
            return {
                "prediction": "",
                "probability": null,
                "start": None,
                "end": None,
                "sentence": None,
                "best": best,
            }
        first, last = sentence_around(context, spans[0].start, spans[0].end)
        return {
            "prediction": text,
            "probability": spans[0].probability,
            "start": spans[0].start,
            "end": spans[0].end,
            "sentence": context[first:last],
            "best": best,
        }

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        references = {
            "answers": object_array([tuple(record["answers"]) for record in records]),
            "groups": np.array([record["group"] for record in records], np.int64),
        }
        return references, {"texts": object_array([record["prediction"] for record in records])}

    def worst_errors(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Answers that share no word with a gold one, the surest first."""
        references, predictions = self.parse_records(records, ())
        found = extractive_qa.match_answers(
            list(references["answers"]), list(predictions["texts"]), self._rules(references)
        )
        wrong = [record for record, match in zip(records, found, strict=True) if match[1] == 0]
        wrong.sort(key=lambda record: -record["probability"])
        return [
            {
                "question": record["question"],
                "label": " / ".join(dict.fromkeys(record["answers"])) or "no answer",
                "prediction": record["prediction"] or "no answer",
                "probability": record["probability"],
                "place": record["place"],
            }
            for record in wrong[:20]
        ]


def _count_answerable(references: Arrays) -> dict[str, int]:
    """Count the questions with and without an answer."""
    answerable = sum(has_answer(texts) for texts in references["answers"])
    unanswerable = len(references["answers"]) - answerable
    return {"answerable": answerable, **({"without an answer": unanswerable} if unanswerable else {})}


@dataclass(frozen=True)
class _Span:
    """A piece of the context in characters, and its share among all spans of all windows and "no answer"."""

    start: int
    end: int
    probability: float


@dataclass(frozen=True)
class _Best:
    """The best spans of a question; the null score less the best span's, in logits."""

    spans: list[_Span]
    null_difference: float
    null_probability: float


def _best_spans(outputs: Arrays, encoded: Encoded, these: Sequence[int], context: str) -> _Best:
    """Over all windows of a question. A span that two windows hold counts with its better score.

    "No answer" means that no window has one, so its score is the lowest of all windows (as in the reference decoder
    of Devlin et al.): a text of many windows without the answer does not speak against the one that has it.
    Probabilities: the softmax over the spans of all windows and that score, each of the best spans counted once.
    """
    null = float(np.min(outputs["null"][these]))
    scores: dict[tuple[int, int], float] = {}
    again: list[float] = []  # scores of spans that another window holds too
    for window in these:
        begins, ends = encoded.decode_columns["begins"][window], encoded.decode_columns["ends"][window]
        for score, first, last in zip(
            *(outputs[name][window] for name in ("scores", "first", "last")), strict=True
        ):
            if score < OUTSIDE / 2:
                continue  # a token outside of the context
            span = _without_blanks(context, int(begins[first]), int(ends[last]))
            if span in scores:
                again.append(min(scores[span], float(score)))
            if span[0] < span[1]:
                scores[span] = max(scores.get(span, -np.inf), float(score))
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:BEST]
    if not ranked:
        return _Best([_Span(0, 0, 0.0)], np.inf, 1.0)
    total = np.logaddexp.reduce([*outputs["total"][these], null], dtype=np.float64)
    total += np.log1p(-np.exp(np.array(again) - total).sum())
    spans = [_Span(*span, float(np.exp(score - total))) for span, score in ranked]
    return _Best(spans, null - ranked[0][1], float(np.exp(null - total)))


def _without_blanks(context: str, start: int, end: int) -> tuple[int, int]:
    """The span without white space around it: tokens may begin with a blank (GPT type), or be nothing else."""
    text = context[start:end]
    return start + len(text) - len(text.lstrip()), start + len(text.rstrip())


def _passages(references: Arrays) -> NDArray[np.int64] | None:
    """The passage of each question, (N,), which are drawn as a whole; None where each question has its own."""
    groups: NDArray[np.int64] = references["groups"]
    return groups if len(np.unique(groups)) < len(groups) else None


def _windows_of(encoded: Encoded, examples: int) -> Iterator[range]:
    """The windows of each example."""
    ends = np.searchsorted(encoded.examples, np.arange(examples + 1))
    return (range(int(a), int(b)) for a, b in pairwise(ends))


def _first_answers(references: Arrays) -> list[tuple[int, int] | None]:
    """(start, end) of each question's first gold answer, as SQuAD's training takes it."""
    return [
        (int(starts[0]), int(starts[0]) + len(texts[0])) if len(texts) else None
        for texts, starts in zip(references["answers"], references["starts"], strict=True)
    ]


def _within(logits_BL: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Padding can't be part of an answer. The question and its marks can, as in the checkpoints' own training."""
    return at_least_float32(logits_BL).masked_fill(batch["attention_mask"] == 0, -1e9)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0
