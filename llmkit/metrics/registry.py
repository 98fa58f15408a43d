"""All metrics by the name that `llmkit evaluate --metric NAME` takes: what each compares, and the scores it gives.

    find_entry("bleu").score(["a cat sat"], [["the cat sat", "a cat was sitting"]], MetricSettings())["bleu"].value

An entry takes predictions and references, example by example, in the form of its kind, and returns scores with
intervals by key. That is all that scoring of files, the `evaluate` library and the list of metrics need; tasks call the
modules of the metrics directly. The code of a metric is imported when it is first computed (`scorers`), so listing the
names is cheap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from llmkit.base.errors import UserError, suggest
from llmkit.metrics.settings import MetricSettings, Scorer

if TYPE_CHECKING:
    from llmkit.metrics.score import Score

__all__ = ["ENTRIES", "KINDS", "Entry", "Kind", "Setting", "find_entry"]

Kind = Literal["labels", "numbers", "texts", "answers", "tags", "log_probabilities"]
Setting = Literal["language", "tokenizer", "stemmer", "strict"]

# Kind -> what an example has, as in "an example has ...".
KINDS: Mapping[Kind, str] = {
    "labels": "a predicted label and the correct label",
    "numbers": "a predicted number and the correct number",
    "texts": "a predicted text and one or more reference texts",
    "answers": "a predicted answer and the reference answers (none if the question has no answer)",
    "tags": "the predicted and the correct tags of a sentence (IOB1, IOB2, BIOES or BMES), one per word",
    "log_probabilities": "natural logarithms of its tokens' probabilities, and the text that these tokens form",
}


@dataclass(frozen=True)
class Entry:
    """One metric of the registry.

    Args:
        name: Name of the metric, as in `--metric NAME`.
        kind: What an example consists of.
        keys: Keys of the scores.
        summary: One line that describes the metric.
        score: Computes the scores by key from predictions (N,), references (N,) and settings. The form of each item
            depends on the kind:
            labels: two strings; numbers: two floats;
            texts: a text, and a list of reference texts;
            answers: a text, and a list of reference answers (empty if the question has no answer);
            tags: two lists of IOB2 tags of equal length;
            log_probabilities: a list of natural logarithms, and the text the tokens form.
        settings: Fields of `MetricSettings` that change the score.
    """

    name: str
    kind: Kind
    keys: tuple[str, ...]
    summary: str
    score: Scorer
    settings: tuple[Setting, ...] = ()


def find_entry(name: str) -> Entry:
    """Return the metric of this name; raise UserError E01 if there is none."""
    if name not in ENTRIES:
        message = f'unknown metric "{name}"{suggest(name, ENTRIES)}'
        raise UserError("E01", "--metric", message, f"choose from {', '.join(ENTRIES)}")
    return ENTRIES[name]


def _entry(
    name: str,
    kind: Kind,
    summary: str,
    keys: tuple[str, ...] | None = None,
    settings: tuple[Setting, ...] = (),
) -> Entry:
    """Make the entry of a built-in metric; its only score has its name unless keys are given."""

    def score(
        predictions: Sequence[Any], references: Sequence[Any], chosen: MetricSettings
    ) -> dict[str, Score]:
        from llmkit.metrics.scorers import SCORERS  # loads numpy, which the list of names does not need

        return SCORERS[name](predictions, references, chosen)

    return Entry(name, kind, keys or (name,), summary, score, settings)


ANSWER_KEYS = ("exact_match", "f1")
ROUGE_KEYS = ("rouge1", "rouge2", "rougeL", "rougeLsum")

ENTRIES: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        _entry("accuracy", "labels", "share of correct labels"),
        _entry("f1", "labels", "F1, macro average over the classes"),
        _entry("precision", "labels", "precision, macro average over the classes"),
        _entry("recall", "labels", "recall, macro average over the classes"),
        _entry("mcc", "labels", "Matthews correlation coefficient, any number of classes"),
        _entry("semeval2010", "labels", "macro F1 of SemEval-2010 task 8, (9+1)-way", ("f1",)),
        _entry("pearson", "numbers", "Pearson correlation"),
        _entry("spearman", "numbers", "Spearman rank correlation"),
        _entry("mse", "numbers", "mean squared error, lower is better"),
        _entry("bleu", "texts", "BLEU as in sacrebleu, 0-100", settings=("language", "tokenizer")),
        _entry("chrf", "texts", "chrF2 as in sacrebleu, 0-100"),
        _entry("chrf++", "texts", "chrF2++ as in sacrebleu, 0-100"),
        _entry("ter", "texts", "TER as in sacrebleu, 0-100, lower is better"),
        _entry(
            "rouge",
            "texts",
            "ROUGE F1 as in rouge_score, 0-100",
            ROUGE_KEYS,
            ("language", "tokenizer", "stemmer"),
        ),
        _entry("wer", "texts", "word error rate, lower is better"),
        _entry("cer", "texts", "character error rate, lower is better"),
        _entry("squad", "answers", "exact match and F1 by the rules of SQuAD v1.1", ANSWER_KEYS),
        _entry("squad_v2", "answers", "exact match and F1 by the rules of SQuAD v2.0", ANSWER_KEYS),
        _entry("cmrc", "answers", "exact match and F1 by the rules of CMRC 2018", ANSWER_KEYS),
        _entry(
            "entities",
            "tags",
            "entities with exact span and type, as in conlleval; strict as in seqeval",
            ("precision", "recall", "f1"),
            ("strict",),
        ),
        _entry("perplexity", "log_probabilities", "exp of the mean loss per token, lower is better"),
        _entry("bits_per_byte", "log_probabilities", "bits per byte of UTF-8 text, lower is better"),
    )
}
