"""Instruction tuning: conversations, of which the assistant's turns are learned and the last one is asked for.

Rows may be messages, ShareGPT, Alpaca or prompt and completion (`data.conversations`). The tokenizer's chat template
writes them; its SHA-256 goes with the model, since with another one the model would be asked what it never learned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field

from llmkit.base.errors import DataError, ErrorDetail, ModelError, raise_if
from llmkit.data import splits
from llmkit.data.checks.conversations import (
    COLUMNS,
    MESSAGES,
    Message,
    check_conversations,
    join_turns,
    parse_conversation,
)
from llmkit.data.checks.duplicates import check_duplicates, find_near_duplicates
from llmkit.data.corpus import Corpus
from llmkit.data.encoding.chat_templates import ChatTemplate, encode_conversations, load_template
from llmkit.data.encoding.features import Features
from llmkit.metrics import intervals
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Statistics, find_metric
from llmkit.metrics.tasks import language_model
from llmkit.metrics.text.rouge import rouge
from llmkit.recipe.schema import Data, Section
from llmkit.tasks._shared.baselines import BASE_MODEL
from llmkit.tasks._shared.generation import Generation, no_references
from llmkit.tasks.protocol import Arrays, Examples, Loss, Rows, ScoreSheet, TaskSpec, same_names

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Chat", "Options", "make"]

DIGEST = "template_sha256"


class Options(Section):
    """Task options of chat."""

    system: str | None = None
    """System message of the conversations that have none; null: none, or the template's own."""
    max_new_tokens: int = Field(default=256, ge=1)
    """Longest answer, in tokens with its end; longer ones in the data are an error, or cut (train.truncation)."""


def make(options: Options, tuned: Mapping[str, Any]) -> Chat:
    """The task with these options."""
    return Chat(options, tuned)


@dataclass(frozen=True)
class Chat(Generation):
    """An answer at the end of each conversation; see `protocol.Task` for what each part is."""

    template: ChatTemplate | None = None  # of the checkpoint, once `bind` knows it

    source = "prompt"
    target = "answer"
    shown_worst = "rougeL"

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(
            auto_class="AutoModelForCausalLM",
            columns={},  # each form of conversation has its own
            optional_columns=same_names(*COLUMNS, "references"),
            inputs=(self.source,),
            identity=(self.source, "references"),
            metrics=("perplexity", "rougeL"),
            lower_is_better=frozenset({"loss", "perplexity"}),
            baselines={"untuned": BASE_MODEL},
            pretrained=True,
            max_new_tokens=self.options.max_new_tokens,
            validation_metrics=("loss", "perplexity"),
            tuned=self.tuned,
        )

    def bind(self, config: Mapping[str, Any], tokenizer: Any) -> Self:
        """Raises ModelError: M11 for an encoder-decoder; of the template: S03, S06, S08 for another than it knows."""
        found = super().bind(config, tokenizer)
        if not found.continues:
            message = "is an encoder-decoder; a conversation is one text that goes on"
            raise ModelError("M11", "model.name", message, "use a GPT type checkpoint")
        template = load_template(tokenizer)
        known = self.tuned.get(DIGEST)
        if known not in (None, template.digest):
            message = f"has another chat template ({template.digest[:12]}) than in training ({known[:12]})"
            raise ModelError(
                "S08", "chat_template", message, "put back the chat_template.jinja of the run's model"
            )
        return replace(found, template=template, tuned={DIGEST: template.digest})

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        corpus, problems, notes = self._read(corpus, data)
        problems += [found for part in corpus.splits.values() for found in no_references(part)]
        raise_if(problems, DataError)
        if labels is None:
            corpus, repeated, said = check_duplicates(corpus, (self.source,), None, data)
            raise_if(repeated, DataError)
            corpus = splits.create_missing_splits(
                corpus, label_column=None, text_column=self.source, data=data, seed=seed
            )
            notes = [*notes, *said]
        near, alike = find_near_duplicates(corpus, (self.source,))
        references = {name: {"texts": self._references(part)} for name, part in corpus.splits.items()}
        return Examples(corpus, (), references, (*notes, *alike), near)

    def _read(self, corpus: Corpus, data: Data) -> tuple[Corpus, list[ErrorDetail], list[str]]:
        """The rows with the columns messages, prompt and answer; what is wrong with them; notes."""
        return check_conversations(corpus, data)

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
        """rows of `predict` have a question, or a list of messages that ends with one, in the place of the prompt."""
        assert self.template is not None, "bind comes first"
        return encode_conversations(
            self.template,
            [self.turns(given) for given in (rows["messages"] if references else rows[self.source])],
            with_answers=bool(references),
            max_length=max_length,
            max_new_tokens=self.options.max_new_tokens,
            truncation=truncation,
        )

    def turns(self, given: str | Sequence[Message]) -> list[Message]:
        """A question, or messages, as what the template writes. Raises DataError for faulty messages."""
        messages = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
        if self.options.system and messages[0]["role"] != "system":
            messages = [{"role": "system", "content": self.options.system}, *messages]
        found, fault = parse_conversation({"messages": messages}, MESSAGES)
        if fault and fault[0] != "S02":  # what is asked needs no answer before
            code, message, fix = fault
            raise DataError(code, "messages", message, fix)
        return found or messages

    def loss(self, references: Arrays, classes: int) -> Loss:
        def of_batch(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses
            from llmkit.engine.generation.generate import IGNORED
            from llmkit.engine.supervised import build_inputs
            from llmkit.models import heads

            inputs, told_BL = build_inputs(model, batch, pad=self._pad)
            learned_BL = told_BL != IGNORED
            logits_NV = heads.compute_logits_at(model, inputs, learned_BL)
            return losses.tokens(logits_NV[None], told_BL[learned_BL][None])

        return of_batch

    def _costs(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Nats and number of the tokens of all answers in a conversation, (B,) each."""
        from llmkit.engine.generation.generate import IGNORED, sum_nats
        from llmkit.engine.supervised import compute_supervised_logits

        logits_BSV, told_BS = compute_supervised_logits(model, batch, pad=self._pad)
        return {"nats": sum_nats(logits_BSV, told_BS), "tokens": (told_BS != IGNORED).sum(1)}

    @property
    def _end(self) -> int:
        assert self.template is not None, "bind comes first"
        return self.template.end_token_id

    def _measured(self, references: Arrays, predictions: Arrays) -> Statistics:
        """What is there to be measured: the answers' tokens, the texts written, or both."""
        found = []
        if "nats" in predictions:
            nats, tokens = (predictions[name].astype(np.float64) for name in ("nats", "tokens"))
            whole = language_model.from_sums(nats, tokens, np.zeros(len(nats)))
            found.append(_only(whole, "perplexity", "loss"))
        if "texts" in predictions:
            found.append(_only(rouge(list(predictions["texts"]), list(references["texts"])), "rougeL"))
        return Statistics.join(found)

    def _values(self, references: Arrays, predictions: Arrays, labels: Sequence[str]) -> dict[str, float]:
        return self._measured(references, predictions).values()

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
        found = self._measured(references, predictions)
        scores = intervals.measure(found.rows, found.metrics, resampling=resampling)
        headline = tuple(metrics) or tuple(name for name in self.spec.metrics if name in scores)
        return ScoreSheet(scores, headline, {"generation": self._how()} if self.tokenizer else {})

    def _how(self) -> dict[str, Any]:
        return {"auto_class": self.spec.auto_class, "max_new_tokens": self.options.max_new_tokens}

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[dict[str, Any]]:
        """As in `_generation`; prompt: the question, or the messages before the answer where they are several. With the
        nats and tokens of the right answers, for `compare`."""
        costs = [name for name in ("nats", "tokens") if name in predictions]
        for number, record in enumerate(super().records(rows, predictions, labels, references)):
            turns = rows["messages"][number][:-1] if references is not None else []
            asked = {self.source: turns} if len(turns) > 1 else {}
            yield record | asked | {name: predictions[name][number].item() for name in costs}

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        references, predictions = super().parse_records(records, labels)
        costs = {name: np.array([record[name] for record in records]) for name in ("nats", "tokens")}
        return references, {**predictions, **costs}

    def worst_errors(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        found = super().worst_errors(records)
        return [
            {**row, "text": row["text"] if isinstance(row["text"], str) else join_turns(row["text"])}
            for row in found
        ]


def _only(found: Statistics, *names: str) -> Statistics:
    """These of the metrics."""
    known = {metric.name: metric for metric in found.metrics}
    return Statistics(found.rows, tuple(find_metric(name, known) for name in names))
