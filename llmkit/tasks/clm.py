"""Causal language modelling: each token from those before it (continued pretraining, or training from scratch).

A document is read with a start token before it and an end token after it, both the tokenizer's own, so that every token
of the text is predicted once, also the first. Blocks keep documents apart (`data.encoding.packing`). Perplexity is per
token and depends on the vocabulary; bits per byte can be compared between models.

Shapes: B blocks, L tokens, V vocabulary, K choices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field

from llmkit.base.dtypes import at_least_float32
from llmkit.base.errors import ModelError
from llmkit.data.checks.documents import iter_documents
from llmkit.data.encoding.collate import IGNORED
from llmkit.data.encoding.encode import count_tokens
from llmkit.data.encoding.features import Features
from llmkit.data.encoding.packing import BlockLayout, Piece
from llmkit.metrics.score import Statistics
from llmkit.metrics.tasks import language_model
from llmkit.tasks._shared import language_model as base
from llmkit.tasks._shared.language_model import (
    Columns,
    LanguageModelling,
    check_packing,
    encode_documents,
    get_start_token,
    sum_by_unit,
)
from llmkit.tasks.protocol import Arrays, Loss, Record, Rows, model_inputs

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

__all__ = ["CausalLM", "Options", "make"]


class Options(base.Options):
    """Task options of causal language modelling."""

    packing: bool = True
    """Fill blocks with several documents that do not see each other; false: a block for each piece."""
    stride: int = Field(default=0, ge=0)
    """Tokens that an evaluated document repeats as context in its next block, at most half of train.max_length. More
    context lowers the perplexity and takes longer."""
    choices: int = Field(default=5, ge=1)
    """Number of next tokens that `predict` lists."""


def make(options: Options, tuned: Mapping[str, Any]) -> CausalLM:
    """Make the task."""
    return CausalLM(options, tuned)


@dataclass(frozen=True)
class CausalLM(LanguageModelling):
    """Next tokens of documents."""

    options: Options

    auto_class = "AutoModelForCausalLM"
    metrics = ("perplexity", "bits_per_byte")
    wording = replace(
        base.WORDING,
        title="causal language modelling",
        purpose="continues a text",
        error_columns={"probability": "Mean token probability"},
        pipeline="text-generation",
        usage="continue",
    )
    writes_samples = True

    def bind(self, config: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> Self:
        """Return the task for one base model.

        Raises:
            ModelError: S07 for a tokenizer without an end token, S09 for a model that packing is not known to suit.
        """
        if tokenizer.eos_token_id is None:
            message = "the tokenizer has no end token, which marks the end of a document"
            raise ModelError("S07", "model.name", message, "use a GPT type model")
        if self.options.packing:
            check_packing(config, "causal")
        return replace(self, tokenizer=tokenizer)

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
        """Encode documents in blocks; without references, prompts that keep their last max_length tokens."""
        ids = tokenizer(list(rows["text"]), add_special_tokens=False, verbose=False)["input_ids"]
        if not references:
            prompts = [[get_start_token(tokenizer), *row] for row in ids]
            kept = [row[-max_length:] for row in prompts]
            return Features(
                {"input_ids": kept}, count_tokens(tokenizer, kept, list(map(len, prompts)), max_length)
            )
        context = 0 if training else min(self.options.stride, max_length // 2)
        layout = BlockLayout(max_length, context=context, packed=self.options.packing)
        documents = list(_join_documents(ids, references, tokenizer))
        return encode_documents(documents, layout, tokenizer, ["labels"], _cut)

    def loss(self, references: Arrays, num_classes: int) -> Loss:
        def compute_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses

            return losses.tokens(self._compute_logits(model, batch), batch["labels"])

        return compute_loss

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        """Return the nats of each token and whether it counts, (B, L); without labels the next tokens, (B, K)."""
        from torch.nn import functional

        from llmkit.models import heads

        if "labels" in batch:
            labels_BL = batch["labels"]
            logits_NV = at_least_float32(self._compute_logits(model, batch)).flatten(0, 1)
            nats_N = functional.cross_entropy(
                logits_NV, labels_BL.flatten(), ignore_index=IGNORED, reduction="none"
            )
            return {"nats": nats_N.view_as(labels_BL), "tokens": (labels_BL != IGNORED).int()}
        mask_BL = batch["attention_mask"]
        last_BL = mask_BL.cumsum(1) == mask_BL.sum(1, keepdim=True)
        inputs = {**model_inputs(batch), "use_cache": False}
        logits_BV = heads.compute_logits_at(model, inputs, last_BL & mask_BL.bool())
        probs_BK, ids_BK = logits_BV.softmax(-1).topk(self.options.choices)
        return {"choices": ids_BK, "probabilities": probs_BK}

    def _compute_logits(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Return logits (B, L, V)."""
        from llmkit.models import packed

        inputs: dict[str, Any] = {**model_inputs(batch), "use_cache": False}
        if self.options.packing:
            inputs = packed.build_inputs(batch, "causal")
        logits_BLV: Tensor = model(**inputs).logits
        return logits_BLV

    def measure(self, references: Arrays, predictions: Arrays) -> Statistics:
        columns = (predictions["nats"], predictions["tokens"], references["bytes"])
        return language_model.from_sums(*sum_by_unit(references, *columns))

    def complete(self, texts: Sequence[str], predictions: Arrays) -> Iterator[Record]:
        """Yield a record per text with its most probable next tokens."""
        for text, ids_K, probs_K in zip(
            texts, predictions["choices"], predictions["probabilities"], strict=True
        ):
            choices = self.list_choices(ids_K, probs_K)
            yield {
                "text": text,
                "prediction": choices[0]["token"],
                "probability": choices[0]["probability"],
                "choices": [choices],
            }


def _join_documents(
    ids: Sequence[Sequence[int]], references: Arrays, tokenizer: PreTrainedTokenizerBase
) -> Iterator[Columns]:
    """Yield the inputs of each document, from the start token to its last token, and the labels, one token later.

    A document that continues in later rows has no end token here, and begins anew there.
    """
    start, end = get_start_token(tokenizer), int(tokenizer.eos_token_id)
    for rows in iter_documents(references["documents"]):
        closing = [end] if references["last"][rows[-1]] else []
        tokens = np.array([start, *(token for row in rows for token in ids[row]), *closing], np.int64)
        owners = np.repeat([*rows, rows[-1]], [*(len(ids[row]) for row in rows), len(closing)])
        yield {"input_ids": tokens[:-1], "labels": tokens[1:], "owners": owners}


def _cut(document: Columns, piece: Piece) -> Columns:
    """Return the columns of a piece of a document; tokens of its context have no label."""
    columns = {name: column[piece.start : piece.end] for name, column in document.items()}
    is_context = np.arange(piece.start, piece.end) < piece.start + piece.context
    return {**columns, "labels": np.where(is_context, IGNORED, columns["labels"])}
