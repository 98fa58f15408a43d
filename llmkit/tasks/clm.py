"""Causal language modelling: each token from those before it (continued pretraining, or from scratch).

A document is read with a start token before it and an end token behind, both the tokenizer's own, so every token of the
text is predicted once, also the first. Blocks keep documents apart (`data.packing`). Perplexity is per token and depends
on the vocabulary; bits per byte can be compared between models. Shapes: B blocks, L tokens, V vocabulary, K choices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field

from llmkit.data.collate import IGNORED
from llmkit.data.encode import Features, TokenCounts
from llmkit.data.packing import Room, Tokens, pack
from llmkit.errors import ModelError, Problem
from llmkit.metrics import language_model
from llmkit.metrics.score import Measured
from llmkit.tasks import _language_model as base
from llmkit.tasks._language_model import OverDocuments
from llmkit.tasks._task import Arrays, Loss, Rows

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["CausalLM", "Options", "make"]


class Options(base.Options):
    """Task options of causal language modelling."""

    packing: bool = True
    """Fill blocks with several documents, each of which sees only itself; false: a block for each piece."""
    choices: int = Field(default=5, ge=1)
    """Next tokens that `predict` names."""


def make(options: Options, tuned: Mapping[str, Any]) -> CausalLM:
    """The task with these options."""
    return CausalLM(options, tuned)


@dataclass(frozen=True)
class CausalLM(OverDocuments):
    """Next tokens of documents; see `_task.Task` for what each part is."""

    tokenizer: Any = None  # of the checkpoint, once `for_model` knows it

    auto_class = "AutoModelForCausalLM"
    metrics = ("perplexity", "bits_per_byte")

    def for_model(self, config: Mapping[str, Any], tokenizer: Any) -> Self:
        if tokenizer.eos_token_id is None:
            problem = Problem(
                "S07",
                "model.name",
                "the tokenizer has no end token, which marks where a document ends",
                "use a GPT-type checkpoint",
            )
            raise ModelError(problem)
        return replace(self, tokenizer=tokenizer)

    def encode(
        self,
        rows: Rows,
        golds: Arrays,
        tokenizer: Any,
        *,
        max_length: int,
        truncation: bool,
        training: bool = False,
    ) -> Features:
        if not golds:
            return _prompts(rows["text"], tokenizer, max_length)
        room = Room(max_length, context=0 if training else self.options.stride, packed=self.options.packing)
        ids = tokenizer(list(rows["text"]), add_special_tokens=False, return_attention_mask=False)[
            "input_ids"
        ]
        fill = {"labels": IGNORED, "owners": 0}
        blocks = pack(_documents(ids, golds, tokenizer), room, fill)
        return base.features(blocks, ids, tokenizer, beside=("segments", "labels"))

    def loss(self, golds: Arrays, classes: int) -> Loss:
        def of_batch(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses
            from llmkit.models import packed

            logits_BLV = model(**packed.inputs(batch, causal=True), use_cache=False).logits
            return losses.tokens(logits_BLV, batch["labels"])

        return of_batch

    def decode(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        from torch.nn import functional

        from llmkit.models import packed

        if "labels" not in batch:
            return self._next(model, batch)
        logits_BLV = model(**packed.inputs(batch, causal=True), use_cache=False).logits
        nats_BL = functional.cross_entropy(
            logits_BLV.float().transpose(1, 2), batch["labels"], ignore_index=IGNORED, reduction="none"
        )
        return {"nats": nats_BL, "tokens": (batch["labels"] != IGNORED).int()}

    def _next(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The K most probable next tokens of each prompt."""
        from llmkit.tasks._task import model_inputs

        last_B = batch["attention_mask"].sum(1) - 1
        logits_BLV = model(**model_inputs(batch), use_cache=False).logits
        logits_BV = logits_BLV[range(len(last_B)), last_B].float()
        probabilities_BK, ids_BK = logits_BV.softmax(-1).topk(self.options.choices)
        return {"choices": ids_BK, "probabilities": probabilities_BK}

    def measured(self, golds: Arrays, answers: Arrays) -> Measured:
        nats, tokens, sizes = base.by_unit(golds, answers, "nats", "tokens")
        return language_model.of_sums(nats, tokens, sizes)

    def records(
        self, rows: Rows, answers: Arrays, labels: Sequence[str], golds: Arrays | None = None
    ) -> Iterator[dict[str, Any]]:
        """Of rows that are scored, what they cost; of prompts, how they may go on."""
        if golds is not None:
            yield from self._scored(rows, answers, golds)
            return
        for text, ids, probabilities in zip(
            rows["text"], answers["choices"], answers["probabilities"], strict=True
        ):
            found = [
                {"text": self.tokenizer.decode([int(number)]), "probability": float(p)}
                for number, p in zip(ids, probabilities, strict=True)
            ]
            yield {
                "text": text,
                "prediction": found[0]["text"],
                "probability": found[0]["probability"],
                "continuations": found,
            }


def _prompts(texts: Sequence[str], tokenizer: Any, max_length: int) -> Features:
    """The last max_length tokens of each text, behind a start token."""
    found = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)["input_ids"]
    start = _start(tokenizer)
    ids = [[start, *row][-max_length:] for row in found]
    return Features(
        {"input_ids": ids}, TokenCounts(tokens=sum(map(len, ids)), longest=max(map(len, found)) + 1)
    )


def _start(tokenizer: Any) -> int:
    found = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    return int(found)


def _documents(ids: Sequence[Sequence[int]], golds: Arrays, tokenizer: Any) -> Iterator[Tokens]:
    """Inputs and labels of each document: from the start token to the last one, and from the first to the end.

    A document whose rows go on behind these has no end here.
    """
    start, end = _start(tokenizer), int(tokenizer.eos_token_id)
    for rows in base.runs(golds["documents"]):
        closed = [end] if golds["last"][rows[-1]] else []
        tokens = np.array([start, *(token for row in rows for token in ids[row]), *closed], np.int64)
        owners = np.repeat(
            [rows[0], *rows, *rows[-1:] * len(closed)], [1, *(len(ids[r]) for r in rows), *[1] * len(closed)]
        )
        if len(tokens) > 1:
            yield Tokens(tokens[:-1], {"labels": tokens[1:], "owners": owners[1:]})
