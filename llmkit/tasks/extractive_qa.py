"""Extractive question answering: the answer is a span of a text of any length.

The text is read in overlapping windows, each with the question before it (Devlin et al. 2019, section 4.3). The
answer is the span with the highest sum of its first and last token's logits over all windows. "No answer" is scored by
the logits of the first token, in the window where they are lowest.

Shapes: B windows, N questions, L tokens, A longest answer in tokens, M = L A spans of a window, K best of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Self

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
from llmkit.report.wording import Wording
from llmkit.tasks._shared.baselines import question_baselines
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
from llmkit.text.sentences import sentence_around

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

__all__ = ["ExtractiveQA", "Options", "make"]

SPANS_PER_WINDOW = 20  # that are kept of each window
SPANS_PER_RECORD = 5
OUTSIDE = -1e30  # logit of a token that is not in the context; the sum of two still fits float32
HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
WORDING = Wording(
    title="extractive question answering",
    purpose="finds the answer to a question in a given text",
    about_usage=(
        "This code reads as much of the text as fits into one input, and always predicts an answer. transformers 5 "
        "has no pipeline for question answering. llmkit reads a text of any length, and says when there is no answer "
        "if the model was trained on such questions."
    ),
    counts=("Questions with and without an answer", "Questions"),
    min_counts=2,
    errors=("Wrong answers", "Answers that share no word with a reference, most confident first"),
    error_columns={"label": "Reference answers", "prediction": "Predicted answer"},
    reads_windows=True,
    pipeline="question-answering",
    usage="extract",
    usage_truncation='"only_second"',
    command_input='"A question?" --context text.txt',
)


class Options(Section):
    """Task options of extractive question answering."""

    unanswerable: bool = False
    """Some questions have no answer in their text (SQuAD 2.0)."""
    rules: Literal["auto", "squad", "squad_v2", "cmrc"] = "auto"
    """Rules of exact match and F1; auto: squad_v2 with unanswerable, else cmrc for Chinese answers, else squad."""
    stride: int = Field(default=128, ge=0)
    """Tokens that two neighbouring windows of a text share; at most a third of train.max_length."""
    max_answer_length: int = Field(default=30, ge=1)
    """Longest answer to predict, in tokens."""

    @model_validator(mode="after")
    def _check_rules(self) -> Options:
        if self.unanswerable and self.rules in ("squad", "cmrc"):
            raise ValueError(f"the rules of {self.rules} have no questions without an answer; use squad_v2")
        return self


def make(options: Options, tuned: Mapping[str, Any]) -> ExtractiveQA:
    """Make the task."""
    return ExtractiveQA(options, tuned)


@dataclass(frozen=True)
class ExtractiveQA:
    """A span of the context for each question."""

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
            wording=WORDING,
            baselines=question_baselines(unanswerable=self.options.unanswerable),
            can_tune=self.options.unanswerable,
            tuned=self.tuned,
        )

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        corpus, references, errors, notes = check_questions(
            corpus, data, unanswerable=self.options.unanswerable, seed=seed if labels is None else None
        )
        raise_if(errors, DataError)
        counts = {}
        for split, of_split in references.items():
            answerable = sum(has_answer(texts) for texts in of_split["answers"])
            unanswerable = len(of_split["answers"]) - answerable
            counts[split] = {"answerable": answerable}
            if unanswerable:
                counts[split]["without an answer"] = unanswerable
        return Examples(corpus, (), references, tuple(notes), label_counts=counts)

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
        """Encode windows; the model learns each question's first answer, as in SQuAD's own training."""
        spans = None
        if references:
            spans = [
                (int(starts[0]), int(starts[0]) + len(texts[0])) if len(texts) else None
                for texts, starts in zip(references["answers"], references["starts"], strict=True)
            ]
        return encode_contexts(
            tokenizer,
            rows["question"],
            rows["context"],
            spans,
            max_length=max_length,
            stride=self.options.stride,
            truncation=truncation,
        )

    def bind(self, config: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> Self:
        return self

    def head(self, labels: Sequence[str], references: Arrays | None = None) -> Head:
        # Start and end: the config of a base model with three classes would otherwise make three outputs.
        return Head({"num_labels": 2})

    def augment(self, batch: dict[str, Tensor], seeds: NDArray[np.int64]) -> dict[str, Tensor]:
        return batch

    def loss(self, references: Arrays, num_classes: int) -> Loss:
        def compute_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses

            start_BL, end_BL = _compute_logits(model, batch)
            return losses.span(start_BL, end_BL, batch["start"][:, 0], batch["end"][:, 0])

        return compute_loss

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        """Return the best spans of each window, (B, K), with the scores of "no answer" and of all spans, (B,)."""
        from torch.nn import functional

        start_BL, end_BL = _compute_logits(model, batch)
        length, longest = start_BL.shape[1], min(self.options.max_answer_length, start_BL.shape[1])
        inside_BL = batch["context"].bool()
        padded = functional.pad(end_BL.masked_fill(~inside_BL, OUTSIDE), (0, longest - 1), value=OUTSIDE)
        starts_BL1 = start_BL.masked_fill(~inside_BL, OUTSIDE)[:, :, None]
        scores_BM = (starts_BL1 + padded.unfold(1, longest, 1)).flatten(1)  # span [l, l + a] at l A + a
        scores_BM = functional.pad(scores_BM, (0, max(0, SPANS_PER_WINDOW - length * longest)), value=OUTSIDE)
        best_BK, at_BK = scores_BM.topk(SPANS_PER_WINDOW)
        outputs = {
            "scores": best_BK,
            "first": at_BK // longest,
            "last": at_BK // longest + at_BK % longest,
            "null": start_BL[:, 0] + end_BL[:, 0],
            "total": scores_BM.logsumexp(1),
        }
        if "start" in batch:
            start_loss_B, end_loss_B = (
                functional.cross_entropy(logits_BL, batch[name][:, 0], reduction="none")
                for logits_BL, name in ((start_BL, "start"), (end_BL, "end"))
            )
            outputs["loss"] = (start_loss_B + end_loss_B) / 2
        return outputs

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        """Return the answer to each question.

        Returns:
            `texts`, the answers, "" for none; `best`, the best spans' texts; `spans`, lists of spans, best first;
            `null_difference`, the score of "no answer" minus the best span's; `null_probability`. (N,) each. With
            references also `loss`, summed over the question's windows, and `windows`, their number.
        """
        contexts = rows["context"]
        threshold = float(self.tuned.get("null_threshold", 0.0))
        ends = np.searchsorted(encoded.examples, np.arange(len(contexts) + 1))
        answers, best, texts = [], [], []
        for context, (first, last) in zip(contexts, pairwise(ends), strict=True):
            answer = _choose_spans(outputs, encoded, range(int(first), int(last)), context)
            answers.append(answer)
            best.append(context[answer.spans[0].start : answer.spans[0].end])
            is_null = self.options.unanswerable and answer.null_difference > threshold
            texts.append("" if is_null else best[-1])
        predictions: dict[str, NDArray[Any]] = {
            "texts": object_array(texts),
            "spans": object_array([answer.spans for answer in answers]),
            "null_difference": np.array([answer.null_difference for answer in answers]),
            "null_probability": np.array([answer.null_probability for answer in answers]),
            "best": object_array(best),
        }
        if "loss" in outputs:
            predictions["loss"] = np.bincount(encoded.examples, outputs["loss"], minlength=len(contexts))
            predictions["windows"] = np.bincount(encoded.examples, minlength=len(contexts))
        return predictions

    def tune(self, references: Arrays, predictions: Arrays) -> Mapping[str, Any]:
        """Return the threshold of "no answer" that gives the best F1."""
        answerable = _find_answerable(references)
        f1 = self._match(references, predictions["best"])[:, 1]
        correctness = np.where(answerable, f1, 0.0)
        threshold, _ = extractive_qa.best_threshold(predictions["null_difference"], answerable, correctness)
        return {"null_threshold": threshold}

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
            return ScoreSheet.from_values(self._compute_values(references, predictions), predictions)
        groups = _group_by_passage(references)
        scores = extractive_qa.scores(
            list(references["answers"]),
            list(predictions["texts"]),
            self._choose_rules(references),
            groups=groups,
            resampling=resampling,
        )
        if "loss" in predictions:
            statistics = np.stack([predictions["loss"], predictions["windows"]], axis=1)
            scores["loss"] = intervals.bootstrap(
                statistics,
                lambda sums: ratio(sums[..., 0], sums[..., 1]),
                groups=groups,
                resampling=resampling,
            )
        details: dict[str, Any] = {}
        if "null_threshold" in self.tuned:
            details["thresholds"] = {"no answer": self.tuned["null_threshold"]}
        return ScoreSheet(scores, tuple(metrics) or ("exact_match", "f1"), details)

    def _compute_values(self, references: Arrays, predictions: Arrays) -> dict[str, float]:
        matches = self._match(references, predictions["texts"])
        exact, f1 = matches[:, 0], matches[:, 1]
        values = {
            "loss": float(predictions["loss"].sum() / max(1, predictions["windows"].sum())),
            "exact_match": float(exact.mean()),
            "f1": float(f1.mean()),
        }
        if not self.options.unanswerable:
            return values
        answerable = _find_answerable(references)
        parts = {
            "has_answer_exact_match": exact[answerable],
            "has_answer_f1": f1[answerable],
            "no_answer_accuracy": exact[~answerable],
        }
        return values | {name: float(part.mean()) if len(part) else 0.0 for name, part in parts.items()}

    def _match(self, references: Arrays, texts: NDArray[np.object_]) -> NDArray[np.float64]:
        """Return exact match, F1 and other statistics of each text, (N, ...)."""
        rules = self._choose_rules(references)
        return extractive_qa.match_answers(list(references["answers"]), list(texts), rules)

    def _choose_rules(self, references: Arrays) -> Rules:
        """Choose the rules of exact match; those of CMRC if at least half of the first answers are Chinese."""
        if self.options.rules != "auto":
            return self.options.rules
        if self.options.unanswerable:
            return "squad_v2"
        texts = [text for answers in references["answers"] for text in answers[:1]]
        return "cmrc" if 2 * sum(bool(HAN.search(text)) for text in texts) >= max(1, len(texts)) else "squad"

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
            self._choose_rules(references),
            metric,
            groups=_group_by_passage(references),
            resampling=resampling,
        )

    def correct(self, references: Arrays, predictions: Arrays) -> NDArray[np.bool_]:
        """Return which answers match exactly."""
        return np.greater(self._match(references, predictions["texts"])[:, 0], 0.5)

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[Record]:
        """Yield records whose `prediction` is "" for no answer.

        `start` and `end` count characters of the context; `sentence` is the one around the answer.
        """
        for number, text in enumerate(predictions["texts"]):
            record: Record = {"id": rows["id"][number]} if "id" in rows else {}
            record["question"] = rows["question"][number]
            if references is not None:
                record["answers"] = list(references["answers"][number])
                record["group"] = int(references["groups"][number])
            context, spans = rows["context"][number], predictions["spans"][number]
            best, start, end, sentence = spans[0], None, None, None
            probability = float(predictions["null_probability"][number])
            if text:
                start, end, probability = best.start, best.end, best.probability
                first, last = sentence_around(context, start, end)
                sentence = context[first:last]
            yield {
                **record,
                "prediction": text,
                "probability": probability,
                "start": start,
                "end": end,
                "sentence": sentence,
                "best": [
                    {
                        "text": context[span.start : span.end],
                        "start": span.start,
                        "end": span.end,
                        "probability": span.probability,
                    }
                    for span in spans[:SPANS_PER_RECORD]
                ],
            }

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        references = {
            "answers": object_array([tuple(record["answers"]) for record in records]),
            "groups": np.array([record["group"] for record in records], np.int64),
        }
        return references, {"texts": object_array([record["prediction"] for record in records])}

    def worst_errors(self, records: Sequence[Record]) -> list[Record]:
        """Return the answers that share no word with a reference, the most confident first."""
        references, predictions = self.parse_records(records, ())
        f1 = self._match(references, predictions["texts"])[:, 1]
        wrong = [record for record, value in zip(records, f1, strict=True) if value == 0]
        wrong.sort(key=lambda record: -record["probability"])
        return [
            {
                "question": record["question"],
                "label": " / ".join(dict.fromkeys(record["answers"])) or "no answer",
                "prediction": record["prediction"] or "no answer",
                "probability": record["probability"],
                "place": record["place"],
            }
            for record in wrong[:MAX_ERRORS]
        ]


@dataclass(frozen=True)
class _Span:
    """A piece of the context in characters, and its probability among all spans of all windows and "no answer"."""

    start: int
    end: int
    probability: float


@dataclass(frozen=True)
class _Answer:
    """The best spans of a question, and "no answer": its score minus the best span's, and its probability."""

    spans: list[_Span]
    null_difference: float
    null_probability: float


def _choose_spans(outputs: Arrays, encoded: Encoded, windows: Sequence[int], context: str) -> _Answer:
    """Choose the best spans over all windows of a question. A span in two windows counts with its better score.

    "No answer" means that no window has one, so its score is the lowest of all windows (as in the reference decoder
    of Devlin et al.): many windows without the answer are no evidence against the one that has it. Probabilities are
    the softmax over the spans of all windows and that score, with each of the best spans counted once.
    """
    null = float(np.min(outputs["null"][windows]))
    scores: dict[tuple[int, int], float] = {}
    repeated: list[float] = []  # lower scores of spans in two windows
    for window in windows:
        begins, ends = (encoded.decode_columns[name][window] for name in ("begins", "ends"))
        candidates = (outputs[name][window] for name in ("scores", "first", "last"))
        for score, first, last in zip(*candidates, strict=True):
            if score < OUTSIDE / 2:
                continue  # a token that is not in the context
            span = _strip(context, int(begins[first]), int(ends[last]))
            if span in scores:
                repeated.append(min(scores[span], float(score)))
            if span[0] < span[1]:
                scores[span] = max(scores.get(span, -np.inf), float(score))
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:SPANS_PER_WINDOW]
    if not ranked:
        return _Answer([_Span(0, 0, 0.0)], np.inf, 1.0)
    total = np.logaddexp.reduce([*outputs["total"][windows], null], dtype=np.float64)
    total += np.log1p(-np.exp(np.array(repeated) - total).sum())
    spans = [_Span(*span, float(np.exp(score - total))) for span, score in ranked]
    return _Answer(spans, null - ranked[0][1], float(np.exp(null - total)))


def _strip(context: str, start: int, end: int) -> tuple[int, int]:
    """Strip white space from a span: tokens may begin with a blank (GPT type), or be nothing else."""
    text = context[start:end]
    return start + len(text) - len(text.lstrip()), start + len(text.rstrip())


def _group_by_passage(references: Arrays) -> NDArray[np.int64] | None:
    """Return the passage of each question, (N,), which is resampled as a whole; None if each has its own."""
    groups: NDArray[np.int64] = references["groups"]
    return groups if len(np.unique(groups)) < len(groups) else None


def _find_answerable(references: Arrays) -> NDArray[np.bool_]:
    return np.array([has_answer(texts) for texts in references["answers"]])


def _compute_logits(model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the logits of the first and the last token, (B, L) each.

    Padding cannot be part of an answer. The question and special tokens can, as in the base models' own training.
    """
    output = model(**model_inputs(batch))
    padding_BL = batch["attention_mask"] == 0
    start_BL, end_BL = (
        at_least_float32(logits_BL).masked_fill(padding_BL, -1e9)
        for logits_BL in (output.start_logits, output.end_logits)
    )
    return start_BL, end_BL
