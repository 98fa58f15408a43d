"""Masked language modelling: hidden tokens from those around them (continued pretraining).

Masks are drawn anew in every epoch, and are the same in every evaluation of every run, so that models can be compared
on the same tokens. Shapes: B windows, L tokens, N hidden tokens, V vocabulary, K choices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from llmkit.data.checks.documents import iter_documents
from llmkit.data.encoding.collate import IGNORED
from llmkit.data.encoding.encode import encode_texts
from llmkit.data.encoding.features import Features
from llmkit.data.encoding.masking import NEVER_MASKED, Masking
from llmkit.data.encoding.packing import BlockLayout, Piece
from llmkit.data.encoding.whole_words import WordUnit, number_words
from llmkit.metrics.score import Statistics
from llmkit.metrics.tasks import language_model
from llmkit.tasks._shared import language_model as base
from llmkit.tasks._shared.language_model import Columns, OverDocuments, by_unit, check_packing, no_token
from llmkit.tasks.protocol import Arrays, Loss, Rows, model_inputs

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["MaskedLM", "Options", "make"]

NOTE = "hidden tokens only, each given all that is not hidden"


class Options(base.Options):
    """Task options of masked language modelling."""

    rate: float = Field(default=0.15, gt=0, lt=1)
    """Share of the tokens that are to be predicted."""
    words: WordUnit = "tokenizer"
    """What is hidden as a whole: a `token`, a word of the `tokenizer`, or one that `jieba` finds (Chinese)."""
    packing: bool = False
    """Fill blocks with several documents, each of which sees only itself; false: a block for each piece."""
    choices: int = Field(default=5, ge=1)
    """Tokens that `predict` names for each mask."""


def make(options: Options, tuned: Mapping[str, Any]) -> MaskedLM:
    """The task with these options."""
    return MaskedLM(options, tuned)


@dataclass(frozen=True)
class MaskedLM(OverDocuments):
    """Hidden tokens of documents; see `protocol.Task` for what each part is."""

    auto_class = "AutoModelForMaskedLM"
    metrics = ("token_accuracy", "perplexity")

    @property
    def masking(self) -> Masking:
        return Masking(self.options.rate, self.tokenizer.mask_token_id, len(self.tokenizer))

    def bind(self, config: Mapping[str, Any], tokenizer: Any) -> Self:
        if tokenizer.mask_token_id is None:
            raise no_token("mask token", "use a BERT-type checkpoint, or task.name=clm for a GPT-type one")
        if self.options.packing:
            check_packing(config, "bidirectional")
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
        if not references:
            return _with_masks(rows["text"], tokenizer, max_length)
        before, after = _around(tokenizer)
        room = BlockLayout(max_length, num_special=len(before) + len(after), packed=self.options.packing)

        def columns(document: Columns, piece: Piece) -> Columns:
            found = {name: column[piece.start : piece.end] for name, column in document.items()}
            owners = found["owners"]
            return {
                "input_ids": np.concatenate([before, found["input_ids"], after]),
                "words": np.pad(found["words"], (len(before), len(after)), constant_values=NEVER_MASKED),
                "owners": np.pad(owners, (len(before), len(after)), mode="edge"),
            }

        documents = list(_documents(rows["text"], references, tokenizer, self.options.words))
        return base.features(documents, room, tokenizer, ["words"], columns)

    def augment(self, batch: dict[str, Tensor], draws: NDArray[np.int64]) -> dict[str, Tensor]:
        """Hide some tokens; a batch for `predict` has its masks already."""
        if "words" not in batch:
            return batch
        import torch

        ids_BL, words_BL = batch["input_ids"].numpy(), batch["words"].numpy()
        masking = self.masking
        hidden = [
            masking.mask(ids_L, words_L, int(draw))
            for ids_L, words_L, draw in zip(ids_BL, words_BL, draws, strict=True)
        ]
        inputs_BL, labels_BL = (torch.from_numpy(np.stack(column)) for column in zip(*hidden, strict=True))
        kept = {name: column for name, column in batch.items() if name != "words"}
        return {**kept, "input_ids": inputs_BL, "labels": labels_BL}

    def loss(self, references: Arrays, classes: int) -> Loss:
        def of_batch(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses

            chosen_BL = batch["labels"] != IGNORED
            return losses.classification(self._logits(model, batch, chosen_BL), batch["labels"][chosen_BL])

        return of_batch

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        from torch.nn import functional

        if "labels" not in batch:
            return self._fill(model, batch)
        chosen_BL = batch["labels"] != IGNORED
        labels_N, logits_NV = batch["labels"][chosen_BL], self._logits(model, batch, chosen_BL)
        nats_N = functional.cross_entropy(logits_NV, labels_N, reduction="none")
        hits_N = (logits_NV.argmax(-1) == labels_N).to(nats_N.dtype)
        empty_BL = chosen_BL.new_zeros(chosen_BL.shape, dtype=nats_N.dtype)
        nats_BL, hits_BL = (empty_BL.masked_scatter(chosen_BL, values_N) for values_N in (nats_N, hits_N))
        return {"nats": nats_BL, "tokens": chosen_BL.int(), "hits": hits_BL}

    def _logits(self, model: nn.Module, batch: dict[str, Tensor], chosen_BL: Tensor) -> Tensor:
        """(N, V) of the chosen tokens."""
        from llmkit.models import heads, packed

        pack = self.options.packing and "segments" in batch
        inputs = packed.build_inputs(batch, "bidirectional") if pack else model_inputs(batch)
        return heads.compute_logits_at(model, inputs, chosen_BL)

    def _fill(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The K most probable tokens at each mask, (B, L, K); 0 elsewhere."""
        masks_BL = batch["input_ids"] == self.tokenizer.mask_token_id
        probabilities_NK, ids_NK = self._logits(model, batch, masks_BL).softmax(-1).topk(self.options.choices)
        shape = (*masks_BL.shape, self.options.choices)
        found = {"masks": masks_BL.int()}
        for name, values_NK in (("choices", ids_NK), ("probabilities", probabilities_NK)):
            found[name] = values_NK.new_zeros(shape)
            found[name][masks_BL] = values_NK
        return found

    def measured(self, references: Arrays, predictions: Arrays) -> Statistics:
        columns = by_unit(
            references, predictions["nats"], predictions["tokens"], references["bytes"], predictions["hits"]
        )
        found = language_model.from_sums(*columns)
        kept = [
            metric for metric in found.metrics if metric.name != "bits_per_byte"
        ]  # no chain of probabilities
        return replace(found, metrics=tuple(replace(own, note=f"{own.note}, {NOTE}") for own in kept))

    def completed(self, texts: Sequence[str], predictions: Arrays) -> Iterator[dict[str, Any]]:
        """prediction: the text with its masks filled, each by its most probable token, and what the product of their
        probabilities is; both None for a text without a mask."""
        for number, text in enumerate(texts):
            places = np.flatnonzero(predictions["masks"][number])
            found = [
                self.choices(
                    predictions["choices"][number, place], predictions["probabilities"][number, place]
                )
                for place in places
            ]
            filled, probability = text, 1.0
            for best, *_ in found:
                filled = filled.replace(self.tokenizer.mask_token, best["token"].strip(), 1)
                probability *= best["probability"]
            yield {
                "text": text,
                "prediction": filled if found else None,
                "probability": probability if found else None,
                "choices": found,
            }


def _around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """What stands before and after a piece: [CLS] and [SEP], as far as the tokenizer has them."""
    ids = (tokenizer.cls_token_id, tokenizer.sep_token_id)
    before, after = ([] if number is None else [int(number)] for number in ids)
    return before, after


def _with_masks(texts: Sequence[str], tokenizer: Any, max_length: int) -> Features:
    """Texts as they are, cut at max_length; the masks are in them."""
    found = encode_texts(tokenizer, texts, max_length=max_length, truncation=True)
    bare = sum(tokenizer.mask_token_id not in row for row in found.columns["input_ids"])
    return replace(found, notes={f"texts have no {tokenizer.mask_token}, so no prediction": bare})


def _documents(texts: Sequence[str], references: Arrays, tokenizer: Any, unit: WordUnit) -> Iterator[Columns]:
    """Ids of each document, with the word and the row of each token."""
    found = list(number_words(texts, tokenizer, unit))
    for rows in iter_documents(references["documents"]):
        most = max(len(found[row][0]) for row in rows)
        yield {
            "input_ids": np.concatenate([found[row][0] for row in rows]),
            "words": np.concatenate([_apart(found[row][1], n * most) for n, row in enumerate(rows)]),
            "owners": np.repeat(rows, [len(found[row][0]) for row in rows]),
        }


def _apart(words: NDArray[np.int64], before: int) -> NDArray[np.int64]:
    """Words of a row with numbers that no row before has."""
    return np.where(words == NEVER_MASKED, NEVER_MASKED, words + before)
