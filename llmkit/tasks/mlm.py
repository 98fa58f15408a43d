"""Masked language modelling: masked tokens from those around them (continued pretraining).

Masks are drawn anew in every epoch. They are the same in every evaluation of every run, so that models are compared on
the same tokens.

Shapes: B windows, L tokens, N masked tokens, V vocabulary, K choices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from llmkit.base.errors import ModelError
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
from llmkit.tasks._shared.language_model import (
    Columns,
    LanguageModelling,
    check_packing,
    encode_documents,
    sum_by_unit,
)
from llmkit.tasks.protocol import Arrays, Loss, Record, Rows, model_inputs

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

__all__ = ["MaskedLM", "Options", "make"]

NOTE = "masked tokens only, each given all tokens that are not masked"


class Options(base.Options):
    """Task options of masked language modelling."""

    rate: float = Field(default=0.15, gt=0, lt=1)
    """Share of the tokens to predict."""
    words: WordUnit = "tokenizer"
    """What is masked as a whole: a `token`, a word of the `tokenizer`, or a word that `jieba` finds (Chinese)."""
    packing: bool = False
    """Fill blocks with several documents that do not see each other; false: a block for each piece."""
    choices: int = Field(default=5, ge=1)
    """Number of tokens that `predict` lists for each mask."""


def make(options: Options, tuned: Mapping[str, Any]) -> MaskedLM:
    """Make the task."""
    return MaskedLM(options, tuned)


@dataclass(frozen=True)
class MaskedLM(LanguageModelling):
    """Masked tokens of documents."""

    options: Options

    auto_class = "AutoModelForMaskedLM"
    metrics = ("token_accuracy", "perplexity")
    wording = replace(
        base.WORDING,
        title="masked language modelling",
        purpose="fills masked tokens; it is meant as a base model for fine-tuning",
        error_columns={"probability": "Mean probability of a masked token"},
        pipeline="fill-mask",
        usage="fill_mask",
        command_input='"A text with [MASK] in it."',
    )

    def bind(self, config: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> Self:
        """Return the task for one base model.

        Raises:
            ModelError: S07 for a tokenizer without a mask token, S09 for a model that packing is not known to suit.
        """
        if tokenizer.mask_token_id is None:
            message = "the tokenizer has no mask token"
            fix = "use a BERT type model, or task.name=clm for a GPT type one"
            raise ModelError("S07", "model.name", message, fix)
        if self.options.packing:
            check_packing(config, "bidirectional")
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
        """Encode documents in blocks; without references, texts whose masks are in them."""
        if not references:
            features = encode_texts(tokenizer, rows["text"], max_length=max_length, truncation=True)
            mask = tokenizer.mask_token_id
            count = sum(mask not in ids for ids in features.columns["input_ids"])
            return replace(features, notes={f"texts have no {tokenizer.mask_token}, so no prediction": count})
        # [CLS] and [SEP], as far as the tokenizer has them.
        special = (tokenizer.cls_token_id, tokenizer.sep_token_id)
        before, after = ([] if number is None else [int(number)] for number in special)
        sizes = (len(before), len(after))

        def cut(document: Columns, piece: Piece) -> Columns:
            columns = {name: column[piece.start : piece.end] for name, column in document.items()}
            return {
                "input_ids": np.concatenate([before, columns["input_ids"], after]),
                "words": np.pad(columns["words"], sizes, constant_values=NEVER_MASKED),
                "owners": np.pad(columns["owners"], sizes, mode="edge"),
            }

        layout = BlockLayout(max_length, num_special=sum(sizes), packed=self.options.packing)
        documents = list(_join_documents(rows["text"], references, tokenizer, self.options.words))
        return encode_documents(documents, layout, tokenizer, ["words"], cut)

    @property
    def masking(self) -> Masking:
        """How tokens are masked."""
        return Masking(self.options.rate, self.tokenizer.mask_token_id, len(self.tokenizer))

    def augment(self, batch: dict[str, Tensor], seeds: NDArray[np.int64]) -> dict[str, Tensor]:
        """Mask some tokens; a batch of `predict` has its masks already."""
        if "words" not in batch:
            return batch
        import torch

        masking = self.masking
        ids_BL, words_BL = batch["input_ids"].numpy(), batch["words"].numpy()
        masked = [
            masking.mask(ids_L, words_L, int(seed))
            for ids_L, words_L, seed in zip(ids_BL, words_BL, seeds, strict=True)
        ]
        inputs_BL, labels_BL = (torch.from_numpy(np.stack(column)) for column in zip(*masked, strict=True))
        others = {name: column for name, column in batch.items() if name != "words"}
        return {**others, "input_ids": inputs_BL, "labels": labels_BL}

    def loss(self, references: Arrays, num_classes: int) -> Loss:
        def compute_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses

            masked_BL = batch["labels"] != IGNORED
            logits_NV = self._compute_logits(model, batch, masked_BL)
            return losses.classification(logits_NV, batch["labels"][masked_BL])

        return compute_loss

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        """Return nats, tokens and hits at masked tokens, (B, L); without labels the choices at masks, (B, L, K)."""
        from torch.nn import functional

        if "labels" not in batch:
            return self._fill_masks(model, batch)
        masked_BL = batch["labels"] != IGNORED
        labels_N, logits_NV = batch["labels"][masked_BL], self._compute_logits(model, batch, masked_BL)
        nats_N = functional.cross_entropy(logits_NV, labels_N, reduction="none")
        hits_N = (logits_NV.argmax(-1) == labels_N).to(nats_N.dtype)
        zeros_BL = masked_BL.new_zeros(masked_BL.shape, dtype=nats_N.dtype)
        nats_BL, hits_BL = (zeros_BL.masked_scatter(masked_BL, values_N) for values_N in (nats_N, hits_N))
        return {"nats": nats_BL, "tokens": masked_BL.int(), "hits": hits_BL}

    def _fill_masks(self, model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the K most probable tokens at each mask, 0 elsewhere."""
        masks_BL = batch["input_ids"] == self.tokenizer.mask_token_id
        logits_NV = self._compute_logits(model, batch, masks_BL)
        probs_NK, ids_NK = logits_NV.softmax(-1).topk(self.options.choices)
        outputs = {"masks": masks_BL.int()}
        for name, values_NK in (("choices", ids_NK), ("probabilities", probs_NK)):
            outputs[name] = values_NK.new_zeros((*masks_BL.shape, self.options.choices))
            outputs[name][masks_BL] = values_NK
        return outputs

    def _compute_logits(self, model: nn.Module, batch: dict[str, Tensor], chosen_BL: Tensor) -> Tensor:
        """Return the logits of the chosen tokens, (N, V)."""
        from llmkit.models import heads, packed

        is_packed = self.options.packing and "segments" in batch
        inputs = packed.build_inputs(batch, "bidirectional") if is_packed else model_inputs(batch)
        return heads.compute_logits_at(model, inputs, chosen_BL)

    def measure(self, references: Arrays, predictions: Arrays) -> Statistics:
        """Return accuracy, perplexity and loss; masked tokens give no probability of a text, so no bits per byte."""
        nats, tokens, hits = (predictions[name] for name in ("nats", "tokens", "hits"))
        statistics = language_model.from_sums(
            *sum_by_unit(references, nats, tokens, references["bytes"], hits)
        )
        metrics = [
            replace(metric, note=f"{metric.note}, {NOTE}")
            for metric in statistics.metrics
            if metric.name != "bits_per_byte"
        ]
        return replace(statistics, metrics=tuple(metrics))

    def complete(self, texts: Sequence[str], predictions: Arrays) -> Iterator[Record]:
        """Yield a record per text whose `prediction` has each mask filled by its most probable token.

        `probability` is the product of their probabilities. Both are None for a text without a mask.
        """
        for number, text in enumerate(texts):
            ids_LK, probs_LK = predictions["choices"][number], predictions["probabilities"][number]
            choices = [
                self.list_choices(ids_LK[place], probs_LK[place])
                for place in np.flatnonzero(predictions["masks"][number])
            ]
            filled, probability = text, 1.0
            for best, *_ in choices:
                filled = filled.replace(self.tokenizer.mask_token, best["token"].strip(), 1)
                probability *= best["probability"]
            yield {
                "text": text,
                "prediction": filled if choices else None,
                "probability": probability if choices else None,
                "choices": choices,
            }


def _join_documents(
    texts: Sequence[str], references: Arrays, tokenizer: PreTrainedTokenizerBase, unit: WordUnit
) -> Iterator[Columns]:
    """Yield the token ids of each document, with the number of each token's word, and its row."""
    numbered = list(number_words(texts, tokenizer, unit))
    for rows in iter_documents(references["documents"]):
        longest = max(len(numbered[row][0]) for row in rows)
        words = [
            np.where(numbers == NEVER_MASKED, NEVER_MASKED, numbers + position * longest)
            for position, numbers in enumerate(numbered[row][1] for row in rows)
        ]  # numbers of words are distinct within a document
        yield {
            "input_ids": np.concatenate([numbered[row][0] for row in rows]),
            "words": np.concatenate(words),
            "owners": np.repeat(rows, [len(numbered[row][0]) for row in rows]),
        }
