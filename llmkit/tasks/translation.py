"""Translation: a text in another language, judged by BLEU, chrF and TER against one or several references."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from llmkit.base.errors import RecipeError
from llmkit.metrics.score import Statistics
from llmkit.metrics.text import ngram
from llmkit.tasks._shared import generation as base
from llmkit.tasks._shared.baselines import source_baseline
from llmkit.tasks._shared.generation import Generation
from llmkit.tasks.protocol import TaskSpec

__all__ = ["Options", "Translation", "make"]

SHORT = {"zho": "zh", "jpn": "ja", "kor": "ko"}  # by the three letters that NLLB's codes begin with


class Options(base.Options):
    """Task options of translation."""

    place = "{source}"

    source_language: str | None = None
    """Code of the language to read, as the checkpoint spells it (en_XX in mBART); null: the checkpoint knows one."""
    target_language: str | None = None
    """Code of the language to write, likewise (de, de_DE, zh); it chooses BLEU's tokenizer too. Null: by script."""


def make(options: Options, tuned: Mapping[str, Any]) -> Translation:
    """The task with these options."""
    return Translation(options, tuned)


class Translation(Generation):
    """A target for each source; see `protocol.Task` for what each part is."""

    source = "source"
    target = "target"
    prompt = "{source}\n\nTranslation:\n"
    shown_worst = "chrf"
    metrics: ClassVar[Sequence[str]] = ("bleu", "chrf", "ter")
    lower_is_better: ClassVar[Collection[str]] = frozenset({"loss", "ter"})

    def bind(self, config: Mapping[str, Any], tokenizer: Any) -> Self:
        """With the tokenizer set to the languages, where it knows any (mBART, NLLB, M2M100)."""
        for side in ("source", "target"):
            code = getattr(self.options, f"{side}_language")
            if code is not None and hasattr(tokenizer, "src_lang"):
                _set_language(tokenizer, side, code)
        return super().bind(config, tokenizer)

    @property
    def spec(self) -> TaskSpec:
        return replace(super().spec, baselines=source_baseline("source"))

    def measured(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Statistics:
        language = self.options.target_language and _short(self.options.target_language)
        found = (
            ngram.bleu(predictions, references, language=language),
            ngram.chrf(predictions, references),
            ngram.ter(predictions, references),
        )
        return Statistics.join(found)


def _set_language(tokenizer: Any, side: str, code: str) -> None:
    """Raises RecipeError C09 where the checkpoint has no token for this language."""
    try:
        setattr(tokenizer, {"source": "src_lang", "target": "tgt_lang"}[side], code)
        known = tokenizer(text_target="")["input_ids"] if side == "target" else tokenizer("")["input_ids"]
    except KeyError:
        known = [tokenizer.unk_token_id]
    if tokenizer.unk_token_id in known:
        message = f'the checkpoint has no language "{code}"'
        raise RecipeError(
            "C09", f"task.{side}_language", message, "write it as its tokenizer does, e.g. de_DE"
        )


def _short(code: str) -> str:
    """The code as the scores know it: zh of zho_Hans."""
    return SHORT.get(code[:3], code)
