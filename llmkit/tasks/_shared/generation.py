"""What the tasks that answer with a text have in common: a prompt is read, a target is learned, an answer is generated.

Encoder-decoder checkpoints (T5, BART, mBART, Marian) and decoder-only ones (GPT, Llama) alike. The loss counts the
tokens of the target and its end. Shapes: B examples, L tokens read, T tokens to write.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from llmkit.base.errors import DataError, ErrorDetail, ModelError, raise_if
from llmkit.data import splits
from llmkit.data.checks.columns import object_array
from llmkit.data.checks.duplicates import check_duplicates, find_near_duplicates
from llmkit.data.checks.texts import check_texts
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.data.encoding.features import Encoded, Features
from llmkit.data.encoding.prompts import PromptFormat, encode_prompts, find_target_start
from llmkit.metrics import intervals, paired
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Metric, Statistics, find_metric, ratio
from llmkit.recipe.schema import Data, Section
from llmkit.tasks.protocol import Arrays, Examples, Head, Loss, Plain, Rows, ScoreSheet, TaskSpec, same_names
from llmkit.text.normalize import normalize_text

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Generation", "Options", "no_references"]

LOGITS = 1024  # places of targets at which the whole vocabulary is scored at once
SEARCH = {"max_new_tokens", "num_beams", "no_repeat_ngram_size", "length_penalty"}
LOSS = Metric("loss", lambda sums: ratio(sums[..., 0], sums[..., 1]), higher_is_better=False, point=None)


class Options(Section):
    """What all of these tasks can be told."""

    place: ClassVar[str]  # of the text in a prompt

    prompt: str | None = None
    """What the model reads, with {source} or {document} for the text; null: the text (GPT type: a plain prompt)."""
    max_new_tokens: int = Field(default=64, ge=1)
    """Longest text that is written, in tokens with its end; longer targets are an error, or cut (train.truncation)."""
    num_beams: int = Field(default=1, ge=1)
    """Texts kept at each step of beam search; 1: greedy, always the most probable token."""
    no_repeat_ngram_size: int = Field(default=0, ge=0)
    """Tokens in a row that are never written twice; 0: no such rule."""
    length_penalty: float = 1.0
    """Exponent of the length by which beam search divides its scores; above 0 it favours longer texts."""

    @model_validator(mode="after")
    def _prompt_holds_the_text(self) -> Self:
        if self.prompt is not None and self.prompt.count(self.place) != 1:
            raise ValueError(f"the prompt must hold {self.place} once")
        return self


@dataclass(frozen=True)
class Generation(Plain):
    """Subclasses name the columns, the prompt and the scores."""

    options: Any
    tuned: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Any = None  # of the checkpoint, once `bind` knows it
    continues: bool = False  # decoder-only: the target goes on where the prompt ends

    source: ClassVar[str]  # columns
    target: ClassVar[str]
    prompt: ClassVar[str]  # of decoder-only checkpoints
    shown_worst: ClassVar[str]  # the metric by which single answers are ranked

    metrics: ClassVar[Sequence[str]]
    lower_is_better: ClassVar[Collection[str]] = frozenset({"loss"})

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(
            auto_class="AutoModelForCausalLM" if self.continues else "AutoModelForSeq2SeqLM",
            columns=same_names(self.source, self.target),
            optional_columns=same_names("references"),
            inputs=(self.source,),
            identity=(self.source, "references"),
            metrics=self.metrics,
            lower_is_better=self.lower_is_better,
            max_new_tokens=self.options.max_new_tokens * self.options.num_beams,
            validation_metrics=("loss",),
            tuned=self.tuned,
        )

    def measured(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Statistics:
        """What the predictions have come to, each against one or several references."""
        raise AssertionError("each task has its own")

    def bind(self, config: Mapping[str, Any], tokenizer: Any) -> Self:
        """Raises ModelError: M11 for a checkpoint that can't write, S07 for no end token, C09 for too few positions."""
        if _only_reads(config):
            message = f"is of a type ({config['model_type']}) that reads texts and can't write any"
            raise ModelError("M11", "model.name", message, "use a GPT, T5 or BART type checkpoint")
        if tokenizer.eos_token_id is None:
            message = "the tokenizer has no end token, so no text would ever end"
            raise ModelError("S07", "model.name", message, "use a GPT, T5 or BART type checkpoint")
        continues = not config.get("is_encoder_decoder", False)
        reach = config.get("max_position_embeddings")
        if not continues and reach and self.options.max_new_tokens > reach:
            message = (
                f"{self.options.max_new_tokens} tokens are more than the {reach} positions of the decoder"
            )
            raise ModelError("C09", "task.max_new_tokens", message, f"use at most {reach}")
        return replace(self, tokenizer=tokenizer, continues=continues)

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        corpus, problems, notes = check_texts(corpus, self.source, data)
        corpus, empty, also = check_texts(corpus, self.target, data)
        empty = [replace(found, code="S05") if found.code == "L03" else found for found in empty]
        lists = [found for part in corpus.splits.values() for found in no_references(part)]
        raise_if([*problems, *empty, *lists], DataError)
        notes = [*notes, *also]
        if labels is None:
            corpus, repeated, said = check_duplicates(corpus, (self.source,), None, data)
            raise_if(repeated, DataError)
            corpus = splits.create_missing_splits(
                corpus, label_column=None, text_column=self.source, data=data, seed=seed
            )
            notes = [*notes, *said]
        notes += [note for name, part in corpus.splits.items() for note in self._copies(name, part)]
        near, alike = find_near_duplicates(corpus, (self.source,))
        references = {name: {"texts": self._references(part)} for name, part in corpus.splits.items()}
        return Examples(corpus, (), references, (*notes, *alike), near)

    def _copies(self, name: str, part: Split) -> Iterator[str]:
        """Rows that would teach to repeat what was read."""
        pairs = zip(part.column(self.source), part.column(self.target), strict=True)
        same = sum(normalize_text(source) == normalize_text(target) for source, target in pairs)
        if same:
            yield f"{name}: {format_row_count(same)} whose {self.target} is the {self.source} itself"

    def _references(self, part: Split) -> Any:
        """What each answer is scored against: the row's references, or its target alone. (N,) of tuples."""
        targets = part.column(self.target)
        several = part.column("references") if "references" in part.columns else [None] * len(part)
        return object_array(tuple(own or [target]) for own, target in zip(several, targets, strict=True))

    def head(self, labels: Sequence[str], references: Arrays | None = None) -> Head:
        return Head({})

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
        return encode_prompts(
            tokenizer,
            PromptFormat(self._around(), self.continues, self.options.max_new_tokens),
            rows[self.source],
            rows[self.target] if references else None,
            max_length=max_length,
            truncation=truncation,
        )

    def _around(self) -> tuple[str, str]:
        """What stands before and behind the text in a prompt; nothing where the model knows only this one task."""
        place = self.options.place
        asked = self.options.prompt or (self.prompt if self.continues else place)
        head, _, tail = asked.partition(place)
        return head, tail

    def loss(self, references: Arrays, classes: int) -> Loss:
        def of_batch(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses
            from llmkit.engine.generation import generate

            return losses.tokens(
                generate.compute_target_logits(model, batch, pad=self._pad), batch["targets"]
            )

        return of_batch

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        """The text written (0 behind its end), its tokens and their nats; those of the target where there is one."""
        from llmkit.engine.generation import generate

        if validating:
            return self._costs(model, batch)
        search = generate.Search(**self.options.model_dump(include=SEARCH))
        written = generate.generate(
            model,
            batch,
            search,
            end=self._end,
            pad=self._pad,
            first=self._first,
        )
        tokens_BT = written.tokens_BT
        found = {
            "written": tokens_BT.clamp(min=0),
            "written_nats": written.nats_B,
            "written_tokens": (tokens_BT != generate.IGNORED).sum(1),
        }
        return found | (self._watched(model, batch) if "targets" in batch else {})

    def _watched(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`_costs`, some rows at a time: more texts are written at once than their logits would fit into memory."""
        import torch

        rows = max(1, LOGITS // batch["targets"].shape[1])
        parts = [
            self._costs(model, {name: column[first : first + rows] for name, column in batch.items()})
            for first in range(0, len(batch["targets"]), rows)
        ]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _costs(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Nats and number of the targets' tokens, (B,) each."""
        from llmkit.engine.generation import generate

        nats_B = generate.sum_nats(
            generate.compute_target_logits(model, batch, pad=self._pad), batch["targets"]
        )
        return {"nats": nats_B, "tokens": (batch["targets"] != generate.IGNORED).sum(1)}

    @property
    def _end(self) -> int:
        """The token that ends a text."""
        return int(self.tokenizer.eos_token_id)

    @property
    def _first(self) -> int | None:
        return None if self.continues else find_target_start(self.tokenizer)

    @property
    def _pad(self) -> int:
        return int(self.tokenizer.pad_token_id)

    def predictions(
        self, outputs: Arrays, encoded: Encoded, rows: Rows, *, calibrated: bool = False
    ) -> Arrays:
        """texts (N,) and probability (N,), the geometric mean of their tokens'; nats and tokens of the targets."""
        found = {name: outputs[name] for name in ("nats", "tokens") if name in outputs}
        if "written" not in outputs:
            return found
        sizes = outputs["written_tokens"]
        ids = [row[:size].tolist() for row, size in zip(outputs["written"], sizes, strict=True)]
        texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        mean = outputs["written_nats"].astype(np.float64) / np.maximum(1, sizes)
        return {"texts": object_array(text.strip() for text in texts), "probability": np.exp(-mean), **found}

    def tune(self, references: Arrays, predictions: Arrays) -> Mapping[str, Any]:
        return {}

    def _values(self, references: Arrays, predictions: Arrays, labels: Sequence[str]) -> dict[str, float]:
        values = {"loss": float(LOSS.score(_loss_rows(predictions).sum(0)))}
        return values | (self._measured(references, predictions).values() if "texts" in predictions else {})

    def _measured(self, references: Arrays, predictions: Arrays) -> Statistics:
        return self.measured(list(predictions["texts"]), list(references["texts"]))

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
        if "nats" in predictions:
            scores |= intervals.measure(_loss_rows(predictions), [LOSS], resampling=resampling)
        details = {"generation": self._how()} if self.tokenizer else {}
        return ScoreSheet(scores, tuple(metrics) or tuple(own.name for own in found.metrics), details)

    def _how(self) -> dict[str, Any]:
        """What a reader needs to have the same texts from plain transformers."""
        how = self.options.model_dump(include=SEARCH)
        head, tail = self._around()
        return {
            "auto_class": self.spec.auto_class,
            "before": head,
            "behind": tail,
            "forced_bos_token_id": self._first,
            **how,
        }

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
        one, other = self._measured(references, first), self._measured(references, second)
        named = find_metric(metric, {own.name: own for own in one.metrics})
        return paired.difference(np.hstack([one.rows, other.rows]), named, resampling=resampling)

    def correct(self, references: Arrays, predictions: Arrays) -> NDArray[np.bool_] | None:
        return None

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[dict[str, Any]]:
        for number, text in enumerate(predictions["texts"]):
            record: dict[str, Any] = {self.source: rows[self.source][number]}
            if references is not None:
                record["references"] = list(references["texts"][number])
            yield {**record, "prediction": text, "probability": float(predictions["probability"][number])}

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        references = object_array(tuple(record["references"]) for record in records)
        return {"texts": references}, {"texts": object_array(record["prediction"] for record in records)}

    def worst_errors(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The answers that have the least in common with their references."""
        wrong = [record for record in records if record["prediction"] not in record["references"]]
        if not wrong:
            return []
        found = self._measured(*self.parse_records(wrong, ()))
        scores = find_metric(self.shown_worst, {own.name: own for own in found.metrics}).score(found.rows)
        return [
            {
                "text": wrong[number][self.source],
                "label": " / ".join(dict.fromkeys(wrong[number]["references"])),
                **{key: wrong[number][key] for key in ("prediction", "probability", "place")},
            }
            for number in np.argsort(scores, kind="stable")[:20]
        ]


def _only_reads(config: Mapping[str, Any]) -> bool:
    """Encoders (BERT and its kin): transformers would open them as causal models that see what they are to say."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    masked = config.get("model_type") in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return masked and not config.get("is_encoder_decoder") and not config.get("is_decoder")


def _loss_rows(predictions: Arrays) -> Any:
    """Nats and tokens of each target, (N, 2)."""
    return np.stack([predictions["nats"], predictions["tokens"]], axis=1).astype(np.float64)


def no_references(part: Split) -> Iterator[ErrorDetail]:
    """L10: references that are no list of texts; null and [] stand for the target alone."""
    if "references" not in part.columns:
        return
    for row, value in enumerate(part.column("references")):
        if value is None or (
            isinstance(value, list) and all(isinstance(text, str) and text.strip() for text in value)
        ):
            continue
        message = '"references" is no list of texts that are not blank'
        yield ErrorDetail("L10", part.place(row), message, 'write a list such as ["one", "another"], or null')
        return
