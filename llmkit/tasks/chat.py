"""Instruction tuning: conversations, of which the assistant's turns are learned and the last one is predicted.

Rows may be messages, ShareGPT, Alpaca, or prompt and completion (see `data.checks.conversations`). The tokenizer's chat
template renders them. Its SHA-256 is saved with the model, because with another template the model would read prompts
that it has never learned.

Shapes: B examples of a batch, N of a split, L input tokens, S positions with a token to learn, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from llmkit.base.errors import DataError, ModelError, raise_if
from llmkit.data.checks.conversations import (
    COLUMNS,
    MESSAGES,
    Message,
    check_conversations,
    join_turns,
    parse_conversation,
)
from llmkit.data.checks.duplicates import find_near_duplicates
from llmkit.data.checks.row_errors import Checked
from llmkit.data.corpus import Corpus, Split
from llmkit.data.encoding.chat_templates import ChatTemplate, encode_conversations, load_template
from llmkit.data.encoding.features import Encoded, Features
from llmkit.metrics import intervals
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Floats, Statistics
from llmkit.metrics.tasks import language_model
from llmkit.metrics.text.rouge import rouge
from llmkit.recipe.schema import Data, Section
from llmkit.report.wording import Wording
from llmkit.tasks._shared.baselines import BASE_MODEL
from llmkit.tasks._shared.generation import (
    ERRORS,
    check_generator,
    compute_in_chunks,
    decode_texts,
    find_reference_errors,
    generate_texts,
    list_worst_texts,
    parse_text_records,
    read_references,
    text_records,
)
from llmkit.tasks._shared.statistics import get_metric, subtract
from llmkit.tasks._shared.texts import make_splits
from llmkit.tasks.protocol import (
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

__all__ = ["NAME", "PROMPT", "Chat", "Options", "make"]

NAME = "chat"
PROMPT = "prompt"  # the column, and the field of a record, with what comes before the answer
DIGEST = "template_sha256"
WORDING = Wording(
    title="chat",
    purpose="answers in a chat",
    errors=ERRORS,
    error_columns={"label": "Reference answer", "prediction": "Generated answer"},
    pipeline="text-generation",
    usage="conversation",
)


class Options(Section):
    """Task options of chat."""

    system: str | None = None
    """System message of conversations that have none; null: none, or the template's own."""
    max_new_tokens: int = Field(default=256, ge=1)
    """Longest answer, in tokens with the end token; longer answers in the data are errors, or truncated with
    train.truncation."""


def make(options: Options, tuned: Mapping[str, Any]) -> Chat:
    """Make the task."""
    return Chat(options, tuned)


@dataclass(frozen=True)
class Chat:
    """An answer at the end of each conversation."""

    options: Options
    tuned: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Any = None
    """The model's tokenizer, after `bind`."""
    template: ChatTemplate | None = None
    """Its chat template, after `bind`."""

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(
            auto_class="AutoModelForCausalLM",
            columns={},  # each form of conversation has its own
            optional_columns=same_names(*COLUMNS, "references"),
            inputs=(PROMPT,),
            identity=(PROMPT, "references"),
            metrics=("perplexity", "rougeL"),
            wording=WORDING,
            lower_is_better=frozenset({"loss", "perplexity"}),
            baselines={"untuned": BASE_MODEL},
            pretrained=True,
            shown_by_head=False,  # the head says causal language modelling
            max_new_tokens=self.options.max_new_tokens,
            validation_metrics=("loss", "perplexity"),
            tuned=self.tuned,
        )

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        corpus, errors, notes = self._check_rows(corpus, data)
        errors += [error for split in corpus.splits.values() for error in find_reference_errors(split)]
        raise_if(errors, DataError)
        if labels is None:
            corpus, duplicates = make_splits(corpus, (PROMPT,), data, seed)
            notes += duplicates
        near_duplicates, near_notes = find_near_duplicates(corpus, (PROMPT,))
        references = {name: {"texts": self._read_references(split)} for name, split in corpus.splits.items()}
        return Examples(corpus, (), references, (*notes, *near_notes), near_duplicates)

    def _check_rows(self, corpus: Corpus, data: Data) -> Checked:
        """Check the rows and add the columns `messages`, `prompt` and `answer`."""
        return check_conversations(corpus, data)

    def _read_references(self, split: Split) -> NDArray[np.object_]:
        return read_references(split, "answer")

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
        """Encode conversations. Without references, `prompt` is a question, or messages that end with one."""
        assert self.template is not None, "bind comes first"
        return encode_conversations(
            self.template,
            [self.parse_turns(turns) for turns in (rows["messages"] if references else rows[PROMPT])],
            with_answers=bool(references),
            max_length=max_length,
            max_new_tokens=self.options.max_new_tokens,
            truncation=truncation,
        )

    def parse_turns(self, prompt: str | Sequence[Message]) -> list[Message]:
        """Return a question, or messages, as the messages that the template renders.

        Raises:
            DataError: For invalid messages. They need not end with an answer.
        """
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
        if self.options.system and messages[0]["role"] != "system":
            messages = [{"role": "system", "content": self.options.system}, *messages]
        parsed, error = parse_conversation({"messages": messages}, MESSAGES)
        if error and error.code != "S02":
            raise DataError(error.code, "messages", error.message, error.fix)
        return parsed or messages

    def bind(self, config: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> Self:
        """Return the task for one base model.

        Raises:
            ModelError: M11 for a model that is not a decoder, S07 for no end token, S03 and S06 for the chat template,
                S08 for another template than in training.
        """
        if not check_generator(config, tokenizer):
            message = "is an encoder-decoder, but a conversation is one text that continues"
            raise ModelError("M11", "model.name", message, "use a GPT type model")
        template = load_template(tokenizer)
        trained = self.tuned.get(DIGEST)
        if trained not in (None, template.digest):
            message = f"is not the chat template of training ({template.digest[:12]}, not {trained[:12]})"
            fix = "put back the chat_template.jinja of the run's model"
            raise ModelError("S08", "chat_template", message, fix)
        return replace(self, tokenizer=tokenizer, template=template, tuned={DIGEST: template.digest})

    def head(self, labels: Sequence[str], references: Arrays | None = None) -> Head:
        return Head({})

    def augment(self, batch: dict[str, Tensor], seeds: NDArray[np.int64]) -> dict[str, Tensor]:
        return batch

    def loss(self, references: Arrays, num_classes: int) -> Loss:
        def compute_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses
            from llmkit.engine.generation.generate import IGNORED
            from llmkit.engine.supervised import build_inputs
            from llmkit.models import heads

            inputs, targets_BL = build_inputs(model, batch, pad=self.tokenizer.pad_token_id)
            learned_BL = targets_BL != IGNORED
            logits_NV = heads.compute_logits_at(model, inputs, learned_BL)
            return losses.tokens(logits_NV[None], targets_BL[learned_BL][None])

        return compute_loss

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        """Generate answers as `generate_texts` does; with targets, return their nats and tokens too."""
        from llmkit.engine.generation.generate import Search

        if validating:
            return self._compute_costs(model, batch)
        assert self.template is not None, "bind comes first"
        search = Search(self.options.max_new_tokens)
        end, pad = self.template.end_token_id, self.tokenizer.pad_token_id
        outputs = generate_texts(model, batch, search, end=end, pad=pad)
        return outputs | (compute_in_chunks(self._compute_costs, model, batch) if "targets" in batch else {})

    def _compute_costs(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return nats and number of the tokens of all answers in a conversation, (B,) each."""
        from llmkit.engine.generation.generate import IGNORED, sum_nats
        from llmkit.engine.supervised import compute_supervised_logits

        logits_BSV, targets_BS = compute_supervised_logits(model, batch, pad=self.tokenizer.pad_token_id)
        return {"nats": sum_nats(logits_BSV, targets_BS), "tokens": (targets_BS != IGNORED).sum(1)}

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        return decode_texts(outputs, self.tokenizer)

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
        statistics = self._measure(references, predictions)
        if resampling is None:
            return ScoreSheet.from_values(statistics.values(), predictions)
        scores = intervals.measure(statistics.rows, statistics.metrics, resampling=resampling)
        headline = tuple(metrics) or tuple(name for name in self.spec.metrics if name in scores)
        details: dict[str, Any] = {}
        if self.tokenizer:  # for the model card
            max_new_tokens = self.options.max_new_tokens
            details["generation"] = {
                "auto_class": self.spec.auto_class,
                "max_new_tokens": max_new_tokens,
            }
        return ScoreSheet(scores, headline, details)

    def _measure(self, references: Arrays, predictions: Arrays) -> Statistics:
        """Measure the tokens of the answers in the data, the generated answers, or both, whatever there is."""
        parts = []
        if "nats" in predictions:
            nats, tokens = (predictions[name].astype(np.float64) for name in ("nats", "tokens"))
            whole = language_model.from_sums(nats, tokens, np.zeros(len(nats)))
            parts.append(_select(whole, "perplexity", "loss"))
        if "texts" in predictions:
            whole = rouge(list(predictions["texts"]), list(references["texts"]))
            parts.append(_select(whole, "rougeL"))
        return Statistics.join(parts)

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
        measured = (self._measure(references, first), self._measure(references, second))
        return subtract(*measured, metric, resampling)

    def correct(self, references: Arrays, predictions: Arrays) -> NDArray[np.bool_] | None:
        return None

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[Record]:
        """Yield records whose `prompt` is the question, or all messages before the answer if there are several.

        With references, records also have the nats and tokens of the answers in the data, for `compare`.
        """
        costs = [name for name in ("nats", "tokens") if name in predictions]
        for number, record in enumerate(text_records(PROMPT, rows, predictions, references)):
            turns = rows["messages"][number][:-1] if references is not None else []
            if len(turns) > 1:
                record[PROMPT] = turns
            yield record | {name: predictions[name][number].item() for name in costs}

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        references, predictions = parse_text_records(records)
        costs = {name: np.array([record[name] for record in records]) for name in ("nats", "tokens")}
        return references, {**predictions, **costs}

    def worst_errors(self, records: Sequence[Record]) -> list[Record]:
        """Return the answers that have the least in common with their references."""

        def score(wrong: Sequence[Record]) -> Floats:
            statistics = self._measure(*self.parse_records(wrong, ()))
            return get_metric(statistics, "rougeL").score(statistics.rows)

        return [
            {**row, "text": row["text"] if isinstance(row["text"], str) else join_turns(row["text"])}
            for row in list_worst_texts(records, PROMPT, score)
        ]


def _select(statistics: Statistics, *names: str) -> Statistics:
    """Select some of the metrics."""
    return Statistics(statistics.rows, tuple(get_metric(statistics, name) for name in names))
