"""Causal language modelling: each token from those before it (continued pretraining, or from scratch).

A document is read with a start token before it and an end token behind, both the tokenizer's own, so that every token
of the text is predicted once, also the first. Blocks keep documents apart (`data.packing`). Perplexity is per token and
depends on the vocabulary; bits per byte can be compared between models. Shapes: B blocks, L tokens, V vocabulary,
K choices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field

from llmkit.base.dtypes import at_least_float32
from llmkit.data.checks.documents import iter_documents
from llmkit.data.encoding.collate import IGNORED
from llmkit.data.encoding.encode import count_tokens
from llmkit.data.encoding.features import Features
from llmkit.data.encoding.packing import BlockLayout, Piece
from llmkit.metrics.score import Statistics
from llmkit.metrics.tasks import language_model
from llmkit.tasks._shared import language_model as base
from llmkit.tasks._shared.language_model import Columns, OverDocuments, by_unit, check_packing, no_token
from llmkit.tasks.protocol import Arrays, Loss, Rows, model_inputs

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["CausalLM", "Options", "make"]

SAMPLES = 3  # in the report
BEGUN, WRITTEN = 20, 300  # characters of a sample: given, and written by the model
SHORTEST = 2 * BEGUN  # characters of a row that a sample may begin with


class Options(base.Options):
    """Task options of causal language modelling."""

    packing: bool = True
    """Fill blocks with several documents, each of which sees only itself; false: a block for each piece."""
    stride: int = Field(default=0, ge=0)
    """Tokens repeated as context where a scored document goes on in another block, at most half of
    train.max_length: the more, the lower the perplexity, and the longer the evaluation."""
    choices: int = Field(default=5, ge=1)
    """Next tokens that `predict` names."""


def make(options: Options, tuned: Mapping[str, Any]) -> CausalLM:
    """The task with these options."""
    return CausalLM(options, tuned)


@dataclass(frozen=True)
class CausalLM(OverDocuments):
    """Next tokens of documents; see `protocol.Task` for what each part is."""

    auto_class = "AutoModelForCausalLM"
    metrics = ("perplexity", "bits_per_byte")

    def bind(self, config: Mapping[str, Any], tokenizer: Any) -> Self:
        if tokenizer.eos_token_id is None:
            raise no_token("end token, which marks where a document ends", "use a GPT-type checkpoint")
        if self.options.packing:
            check_packing(config, "causal")
        return replace(self, tokenizer=tokenizer)

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
        ids = tokenizer(list(rows["text"]), add_special_tokens=False, verbose=False)["input_ids"]
        if not references:
            return _prompts(ids, tokenizer, max_length)
        context = 0 if training else min(self.options.stride, max_length // 2)
        room = BlockLayout(max_length, context=context, packed=self.options.packing)
        return base.features(
            list(_documents(ids, references, tokenizer)), room, tokenizer, ["labels"], _columns
        )

    def loss(self, references: Arrays, classes: int) -> Loss:
        def of_batch(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses

            return losses.tokens(self._logits(model, batch), batch["labels"])

        return of_batch

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        from torch.nn import functional

        if "labels" not in batch:
            return self._next(model, batch)
        labels_BL = batch["labels"]
        logits_NV = at_least_float32(self._logits(model, batch)).flatten(0, 1)
        nats_N = functional.cross_entropy(
            logits_NV, labels_BL.flatten(), ignore_index=IGNORED, reduction="none"
        )
        return {"nats": nats_N.view_as(labels_BL), "tokens": (labels_BL != IGNORED).int()}

    def _logits(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """(B, L, V)."""
        from llmkit.models import packed

        inputs = packed.build_inputs(batch, "causal") if self.options.packing else _unpacked(batch)
        logits_BLV: Tensor = model(**inputs).logits
        return logits_BLV

    def _next(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The K most probable next tokens of each prompt."""
        from llmkit.models import heads

        here_BL = batch["attention_mask"]
        last_BL = here_BL.cumsum(1) == here_BL.sum(1, keepdim=True)
        logits_BV = heads.compute_logits_at(model, _unpacked(batch), last_BL & here_BL.bool())
        probabilities_BK, ids_BK = logits_BV.softmax(-1).topk(self.options.choices)
        return {"choices": ids_BK, "probabilities": probabilities_BK}

    def measured(self, references: Arrays, predictions: Arrays) -> Statistics:
        columns = by_unit(references, predictions["nats"], predictions["tokens"], references["bytes"])
        return language_model.from_sums(*columns)

    def beginnings(self, rows: Rows) -> list[tuple[list[int], int]]:
        """Of rows spread evenly over those that are long enough, with the tokens of about WRITTEN characters more."""
        texts = [text for text in rows["text"] if len(text) > SHORTEST]
        chosen = [texts[len(texts) * number // SAMPLES] for number in range(min(SAMPLES, len(texts)))]
        rooms = []
        for text in chosen:
            ids = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
            whole_words = text[:BEGUN].rpartition(" ")[0] or text[:BEGUN]
            begun = self.tokenizer(whole_words, add_special_tokens=False)["input_ids"]
            rooms.append(([_start(self.tokenizer), *begun], round(WRITTEN * len(ids) / len(text))))
        return rooms

    def completed(self, texts: Sequence[str], predictions: Arrays) -> Iterator[dict[str, Any]]:
        for number, text in enumerate(texts):
            found = self.choices(predictions["choices"][number], predictions["probabilities"][number])
            best = found[0]
            yield {
                "text": text,
                "prediction": best["token"],
                "probability": best["probability"],
                "choices": [found],
            }


def _unpacked(batch: dict[str, Tensor]) -> dict[str, Any]:
    return {**model_inputs(batch), "use_cache": False}


def _start(tokenizer: Any) -> int:
    """What stands before a document; GPT-2 has the same token for both ends."""
    found = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    return int(found)


def _prompts(ids: Sequence[Sequence[int]], tokenizer: Any, max_length: int) -> Features:
    """The last max_length tokens of each text, behind a start token."""
    whole = [[_start(tokenizer), *row] for row in ids]
    kept = [row[-max_length:] for row in whole]
    return Features(
        {"input_ids": kept}, count_tokens(tokenizer, kept, [len(row) for row in whole], max_length)
    )


def _documents(ids: Sequence[Sequence[int]], references: Arrays, tokenizer: Any) -> Iterator[Columns]:
    """Inputs and labels of each document: from the start token to the last one, and from the first to the end.

    A document whose rows go on behind these has no end here, and begins anew there.
    """
    start, end = _start(tokenizer), int(tokenizer.eos_token_id)
    for rows in iter_documents(references["documents"]):
        closed = [end] if references["last"][rows[-1]] else []
        tokens = np.array([start, *(token for row in rows for token in ids[row]), *closed], np.int64)
        owners = np.repeat([*rows, rows[-1]], [*(len(ids[row]) for row in rows), len(closed)])
        yield {"input_ids": tokens[:-1], "labels": tokens[1:], "owners": owners}


def _columns(document: Columns, piece: Piece) -> Columns:
    """A piece of a document; what is context has no label."""
    found = {name: column[piece.start : piece.end] for name, column in document.items()}
    seen = np.arange(piece.start, piece.end) < piece.start + piece.context
    return {**found, "labels": np.where(seen, IGNORED, found["labels"])}
