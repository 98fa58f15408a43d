"""What tasks that generate text share: a prompt is read, a target is learned, a text is generated.

They work with encoder-decoder models (T5, BART, mBART, Marian) and decoder-only ones (GPT, Llama). The functions serve
all of them, `TextGeneration` is the base of those with one source and one target per example. The loss counts the
target's tokens and its end token.

Shapes: B examples of a batch, N of a split, L input tokens, T target or generated tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from llmkit.base.errors import DataError, ErrorDetail, ModelError, raise_if
from llmkit.data.checks.columns import object_array
from llmkit.data.checks.duplicates import find_near_duplicates
from llmkit.data.checks.texts import check_texts
from llmkit.data.corpus import Corpus, Split, format_row_count
from llmkit.data.encoding.features import Encoded, Features
from llmkit.data.encoding.prompts import PromptFormat, encode_prompts, find_target_start
from llmkit.metrics import intervals
from llmkit.metrics.paired import Difference
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.score import Floats, Metric, Statistics, ratio
from llmkit.recipe.schema import Data, Section
from llmkit.report.wording import Wording
from llmkit.tasks._shared.statistics import get_metric, subtract
from llmkit.tasks._shared.texts import make_splits
from llmkit.tasks.protocol import (
    MAX_ERRORS,
    Arrays,
    Baseline,
    Examples,
    Head,
    Loss,
    Record,
    Rows,
    ScoreSheet,
    TaskSpec,
    same_names,
)
from llmkit.text.normalize import normalize_text

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

    from llmkit.engine.generation.generate import Search

__all__ = [
    "ERRORS",
    "Options",
    "TextGeneration",
    "check_generator",
    "compute_in_chunks",
    "decode_texts",
    "find_reference_errors",
    "generate_texts",
    "list_worst_texts",
    "parse_text_records",
    "read_references",
    "text_records",
]

MAX_POSITIONS = 1024  # of targets at which logits over the whole vocabulary are computed at once
ERRORS = ("Largest deviations", "Generated texts that have the least in common with their references")
SEARCH = {"max_new_tokens", "num_beams", "no_repeat_ngram_size", "length_penalty"}
LOSS = Metric("loss", lambda sums: ratio(sums[..., 0], sums[..., 1]), higher_is_better=False, point=None)


def check_generator(config: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether a model continues its prompt (decoder-only), rather than being an encoder-decoder.

    Raises:
        ModelError: M11 for an encoder, S07 for a tokenizer without an end token.
    """
    # transformers would open encoders (BERT, ...) as causal models that see the tokens they are to predict.
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    is_encoder_decoder = config.get("is_encoder_decoder", False)
    masked = config.get("model_type") in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    fix = "use a GPT, T5 or BART type model"
    if masked and not is_encoder_decoder and not config.get("is_decoder"):
        message = f"is an encoder ({config['model_type']}), which reads texts but cannot generate any"
        raise ModelError("M11", "model.name", message, fix)
    if tokenizer.eos_token_id is None:
        message = "the tokenizer has no end token, so no generated text would ever end"
        raise ModelError("S07", "model.name", message, fix)
    return not is_encoder_decoder


def find_reference_errors(split: Split) -> Iterator[ErrorDetail]:
    """L10: references that are not a list of texts; null and [] stand for the target alone."""
    if "references" not in split.columns:
        return
    for row, value in enumerate(split.column("references")):
        if value is None or (
            isinstance(value, list) and all(isinstance(text, str) and text.strip() for text in value)
        ):
            continue
        message = '"references" is not a list of texts that are not blank'
        yield ErrorDetail(
            "L10", split.place(row), message, 'write a list such as ["one", "another"], or null'
        )
        return


def read_references(split: Split, target: str) -> NDArray[np.object_]:
    """Return the references of each example, (N,) of tuples: its column `references`, else its target alone."""
    targets = split.column(target)
    lists = split.column("references") if "references" in split.columns else [None] * len(split)
    return object_array(tuple(texts or [text]) for texts, text in zip(lists, targets, strict=True))


def generate_texts(
    model: nn.Module,
    batch: Mapping[str, Tensor],
    search: Search,
    *,
    end: int,
    pad: int,
    first: int | None = None,
) -> dict[str, Tensor]:
    """Generate a text per example.

    Returns:
        `written`, token ids (B, T) with 0 after the end; `written_nats`, the summed negative log-probability of each
        text in nats, (B,); and `written_tokens`, the number of its tokens, (B,).
    """
    from llmkit.engine.generation import generate

    generated = generate.generate(model, batch, search, end=end, pad=pad, first=first)
    return {
        "written": generated.tokens_BT.clamp(min=0),
        "written_nats": generated.nats_B,
        "written_tokens": (generated.tokens_BT != generate.IGNORED).sum(1),
    }


def compute_in_chunks(
    compute: Callable[[nn.Module, Mapping[str, Tensor]], dict[str, Tensor]],
    model: nn.Module,
    batch: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Apply a function to a few examples at a time.

    A batch of texts to generate is larger than the logits of its targets would fit into memory.
    """
    import torch

    size = max(1, MAX_POSITIONS // batch["targets"].shape[1])
    chunks = [
        compute(model, {name: column[start : start + size] for name, column in batch.items()})
        for start in range(0, len(batch["targets"]), size)
    ]
    return {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}


def decode_texts(outputs: Arrays, tokenizer: PreTrainedTokenizerBase) -> Arrays:
    """Turn generated tokens into text.

    Returns:
        `texts` and `probability`, (N,) each, the geometric mean of the tokens' probabilities; and the targets' nats
        and tokens, if `outputs` has them.
    """
    costs = {name: outputs[name] for name in ("nats", "tokens") if name in outputs}
    if "written" not in outputs:
        return costs
    sizes = outputs["written_tokens"]
    ids = [row[:size].tolist() for row, size in zip(outputs["written"], sizes, strict=True)]
    texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
    mean_nats = outputs["written_nats"].astype(np.float64) / np.maximum(1, sizes)
    return {"texts": object_array(text.strip() for text in texts), "probability": np.exp(-mean_nats), **costs}


def text_records(
    source: str, rows: Rows, predictions: Arrays, references: Arrays | None = None
) -> Iterator[Record]:
    """Yield a record per example: its source, its references if they are known, and the generated text."""
    for number, text in enumerate(predictions["texts"]):
        record: Record = {source: rows[source][number]}
        if references is not None:
            record["references"] = list(references["texts"][number])
        yield {**record, "prediction": text, "probability": float(predictions["probability"][number])}


def parse_text_records(records: Sequence[Mapping[str, Any]]) -> tuple[Arrays, Arrays]:
    """Return the references and the texts behind records."""
    references = object_array(tuple(record["references"]) for record in records)
    return {"texts": references}, {"texts": object_array(record["prediction"] for record in records)}


def list_worst_texts(
    records: Sequence[Record], source: str, score: Callable[[Sequence[Record]], Floats]
) -> list[Record]:
    """Return the generated texts that are not a reference, the lowest score first.

    Args:
        records: All records.
        source: The field with the input.
        score: Scores some records, (N,).
    """
    wrong = [record for record in records if record["prediction"] not in record["references"]]
    if not wrong:
        return []
    return [
        {
            "text": wrong[number][source],
            "label": " / ".join(dict.fromkeys(wrong[number]["references"])),
            **{name: wrong[number][name] for name in ("prediction", "probability", "place")},
        }
        for number in np.argsort(score(wrong), kind="stable")[:MAX_ERRORS]
    ]


class Options(Section):
    """Options of tasks with one source and one target."""

    place: ClassVar[str]  # of the source in a prompt

    prompt: str | None = None
    """Prompt of the model, with {source} or {document} for the text; null: the text (GPT type: a plain prompt)."""
    max_new_tokens: int = Field(default=64, ge=1)
    """Longest generated text, in tokens with the end token; longer targets are errors, or truncated with
    train.truncation."""
    num_beams: int = Field(default=1, ge=1)
    """Texts kept at each step of beam search; 1: greedy search, always the most probable token."""
    no_repeat_ngram_size: int = Field(default=0, ge=0)
    """Length of token sequences that are never generated twice; 0: no such rule."""
    length_penalty: float = 1.0
    """Exponent of the length by which beam search divides its scores; above 0 it favours longer texts."""

    @model_validator(mode="after")
    def _check_prompt(self) -> Self:
        if self.prompt is not None and self.prompt.count(self.place) != 1:
            raise ValueError(f"the prompt must contain {self.place} once")
        return self


@dataclass(frozen=True)
class TextGeneration:
    """A target text for each source text. Subclasses name the columns, the prompt, the metrics and the baselines."""

    options: Options
    tuned: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Any = None
    """The model's tokenizer, after `bind`."""
    continues: bool = False
    """Whether the model is decoder-only, so that the target follows its prompt."""

    source: ClassVar[str]
    target: ClassVar[str]
    prompt: ClassVar[str]
    """Default prompt of decoder-only models."""
    metrics: ClassVar[Sequence[str]]
    wording: ClassVar[Wording]
    lower_is_better: ClassVar[Collection[str]] = frozenset({"loss"})
    error_metric: ClassVar[str]
    """The metric that ranks single texts in `worst_errors`."""
    baselines: ClassVar[Mapping[str, Baseline]]

    def measure(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Statistics:
        """Compare generated texts with their references."""
        raise NotImplementedError

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec(
            auto_class="AutoModelForCausalLM" if self.continues else "AutoModelForSeq2SeqLM",
            columns=same_names(self.source, self.target),
            optional_columns=same_names("references"),
            inputs=(self.source,),
            identity=(self.source, "references"),
            metrics=self.metrics,
            wording=self.wording,
            lower_is_better=self.lower_is_better,
            baselines=self.baselines,
            max_new_tokens=self.options.max_new_tokens * self.options.num_beams,
            validation_metrics=("loss",),
            tuned=self.tuned,
        )

    def check(self, corpus: Corpus, data: Data, seed: int, labels: Sequence[str] | None = None) -> Examples:
        corpus, errors, notes = check_texts(corpus, self.source, data)
        corpus, target_errors, target_notes = check_texts(corpus, self.target, data)
        errors += [replace(error, code="S05") if error.code == "L03" else error for error in target_errors]
        errors += [error for split in corpus.splits.values() for error in find_reference_errors(split)]
        raise_if(errors, DataError)
        notes += target_notes
        if labels is None:
            corpus, duplicates = make_splits(corpus, (self.source,), data, seed)
            notes += duplicates
        for name, split in corpus.splits.items():
            pairs = zip(split.column(self.source), split.column(self.target), strict=True)
            copies = sum(normalize_text(source) == normalize_text(target) for source, target in pairs)
            if copies:
                notes.append(
                    f"{name}: {format_row_count(copies)} whose {self.target} equals the {self.source}"
                )
        near_duplicates, near_notes = find_near_duplicates(corpus, (self.source,))
        references = {
            name: {"texts": read_references(split, self.target)} for name, split in corpus.splits.items()
        }
        return Examples(corpus, (), references, (*notes, *near_notes), near_duplicates)

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
        return encode_prompts(
            tokenizer,
            PromptFormat(self._split_prompt(), self.continues, self.options.max_new_tokens),
            rows[self.source],
            rows[self.target] if references else None,
            max_length=max_length,
            truncation=truncation,
        )

    def _split_prompt(self) -> tuple[str, str]:
        """Return what is before and after the text in a prompt; nothing for encoder-decoders by default."""
        place = self.options.place
        prompt = self.options.prompt or (self.prompt if self.continues else place)
        before, _, after = prompt.partition(place)
        return before, after

    def bind(self, config: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> Self:
        """Return the task for one base model.

        Raises:
            ModelError: M11 for a model that cannot generate, S07 for no end token, C09 for too few positions.
        """
        continues = check_generator(config, tokenizer)
        positions = config.get("max_position_embeddings")
        if not continues and positions and self.options.max_new_tokens > positions:
            message = f"{self.options.max_new_tokens} is more than the decoder's {positions} positions"
            raise ModelError("C09", "task.max_new_tokens", message, f"use at most {positions}")
        return replace(self, tokenizer=tokenizer, continues=continues)

    def head(self, labels: Sequence[str], references: Arrays | None = None) -> Head:
        return Head({})

    def augment(self, batch: dict[str, Tensor], seeds: NDArray[np.int64]) -> dict[str, Tensor]:
        return batch

    def loss(self, references: Arrays, num_classes: int) -> Loss:
        def compute_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            from llmkit.engine import losses
            from llmkit.engine.generation import generate

            logits_BTV = generate.compute_target_logits(model, batch, pad=self.tokenizer.pad_token_id)
            return losses.tokens(logits_BTV, batch["targets"])

        return compute_loss

    def decode(
        self, model: nn.Module, batch: dict[str, Tensor], *, validating: bool = False
    ) -> dict[str, Tensor]:
        """Generate texts as `generate_texts` does; with targets, return their nats and tokens too."""
        from llmkit.engine.generation.generate import Search

        if validating:
            return self._compute_costs(model, batch)
        search = Search(**self.options.model_dump(include=SEARCH))
        tokenizer = self.tokenizer
        end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
        outputs = generate_texts(model, batch, search, end=end, pad=pad, first=self._find_first_token())
        return outputs | (compute_in_chunks(self._compute_costs, model, batch) if "targets" in batch else {})

    def _compute_costs(self, model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return nats and number of each target's tokens, (B,) each."""
        from llmkit.engine.generation import generate

        logits_BTV = generate.compute_target_logits(model, batch, pad=self.tokenizer.pad_token_id)
        return {
            "nats": generate.sum_nats(logits_BTV, batch["targets"]),
            "tokens": (batch["targets"] != generate.IGNORED).sum(1),
        }

    def _find_first_token(self) -> int | None:
        return None if self.continues else find_target_start(self.tokenizer)

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
        if resampling is None:
            values = {"loss": float(LOSS.score(_stack_costs(predictions).sum(0)))}
            if "texts" in predictions:
                values |= self._measure(references, predictions).values()
            return ScoreSheet.from_values(values, predictions)
        statistics = self._measure(references, predictions)
        scores = intervals.measure(statistics.rows, statistics.metrics, resampling=resampling)
        if "nats" in predictions:
            scores |= intervals.measure(_stack_costs(predictions), [LOSS], resampling=resampling)
        headline = tuple(metrics) or tuple(metric.name for metric in statistics.metrics)
        return ScoreSheet(scores, headline, self._generation_details() if self.tokenizer else {})

    def _measure(self, references: Arrays, predictions: Arrays) -> Statistics:
        return self.measure(list(predictions["texts"]), list(references["texts"]))

    def _generation_details(self) -> dict[str, Any]:
        """Return what is needed to generate the same texts with plain transformers, for the model card."""
        before, after = self._split_prompt()
        return {
            "generation": {
                "auto_class": self.spec.auto_class,
                "before": before,
                "behind": after,
                "forced_bos_token_id": self._find_first_token(),
                **self.options.model_dump(include=SEARCH),
            }
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
        measured = (self._measure(references, first), self._measure(references, second))
        return subtract(*measured, metric, resampling)

    def correct(self, references: Arrays, predictions: Arrays) -> None:
        return None

    def records(
        self, rows: Rows, predictions: Arrays, labels: Sequence[str], references: Arrays | None = None
    ) -> Iterator[Record]:
        return text_records(self.source, rows, predictions, references)

    def parse_records(
        self, records: Sequence[Mapping[str, Any]], labels: Sequence[str]
    ) -> tuple[Arrays, Arrays]:
        return parse_text_records(records)

    def worst_errors(self, records: Sequence[Record]) -> list[Record]:
        """Return the generated texts that have the least in common with their references."""

        def score(wrong: Sequence[Record]) -> Floats:
            statistics = self._measure(*parse_text_records(wrong))
            return get_metric(statistics, self.error_metric).score(statistics.rows)

        return list_worst_texts(records, self.source, score)


def _stack_costs(predictions: Arrays) -> Floats:
    """Return nats and tokens of each target, (N, 2)."""
    return np.stack([predictions["nats"], predictions["tokens"]], axis=1).astype(np.float64)
