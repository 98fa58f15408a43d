"""Translation: a text in another language, scored by BLEU, chrF and TER against one or several references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from llmkit.base.errors import RecipeError
from llmkit.metrics.score import Statistics
from llmkit.metrics.text import ngram
from llmkit.report.wording import Wording
from llmkit.tasks._shared import generation
from llmkit.tasks._shared.baselines import source_baseline
from llmkit.tasks._shared.generation import ERRORS, TextGeneration

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Options", "Translation", "make"]

LANGUAGES = {"zho": "zh", "jpn": "ja", "kor": "ko"}  # by the first three letters of NLLB's codes (zho_Hans)


class Options(generation.Options):
    """Task options of translation."""

    place = "{source}"

    source_language: str | None = None
    """Code of the source language, as the base model spells it (en_XX in mBART); null: the model has only one."""
    target_language: str | None = None
    """Code of the target language, likewise (de, de_DE, zh). It also chooses BLEU's tokenizer; null: by script."""


def make(options: Options, tuned: Mapping[str, Any]) -> Translation:
    """Make the task."""
    return Translation(options, tuned)


@dataclass(frozen=True)
class Translation(TextGeneration):
    """A target text for each source text."""

    options: Options

    source = "source"
    target = "target"
    prompt = "{source}\n\nTranslation:\n"
    metrics = ("bleu", "chrf", "ter")
    wording = Wording(
        title="translation",
        purpose="translates a text",
        errors=ERRORS,
        error_columns={"label": "Reference translation", "prediction": "Generated translation"},
        pipeline="translation",
        usage="generate",
    )
    lower_is_better = frozenset({"loss", "ter"})
    error_metric = "chrf"
    baselines = source_baseline("source")

    def bind(self, config: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> Self:
        """Return the task for one base model, and set its tokenizer's languages if it has any (mBART, NLLB, M2M100).

        Raises:
            ModelError: As for `TextGeneration.bind`.
            RecipeError: C09, when the tokenizer does not have a language.
        """
        if hasattr(tokenizer, "src_lang"):
            if self.options.source_language is not None:
                _set_language(tokenizer, "source", self.options.source_language)
            if self.options.target_language is not None:
                _set_language(tokenizer, "target", self.options.target_language)
        return super().bind(config, tokenizer)

    def measure(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Statistics:
        code = self.options.target_language
        return Statistics.join(
            (
                ngram.bleu(predictions, references, language=code and _shorten_code(code)),
                ngram.chrf(predictions, references),
                ngram.ter(predictions, references),
            )
        )


def _shorten_code(code: str) -> str:
    """Return a language code as the metrics know it: zh for zho_Hans."""
    return LANGUAGES.get(code[:3], code)


def _set_language(tokenizer: PreTrainedTokenizerBase, side: str, code: str) -> None:
    try:
        setattr(tokenizer, {"source": "src_lang", "target": "tgt_lang"}[side], code)
        ids = tokenizer(text_target="")["input_ids"] if side == "target" else tokenizer("")["input_ids"]
    except KeyError:
        ids = [tokenizer.unk_token_id]
    if tokenizer.unk_token_id in ids:
        message = f'the base model has no language "{code}"'
        fix = "write it as its tokenizer does, e.g. de_DE"
        raise RecipeError("C09", f"task.{side}_language", message, fix)
