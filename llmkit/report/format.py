"""Values as people read them: scores with three decimals, counts with commas, times and sizes with units.

    number(0.8623) -> "0.862"      interval({"low": 0.84, "high": 0.882}) -> "0.840 to 0.882"

One form for one kind of value over the whole report: scores and losses are plain numbers, shares of rows or
tokens are percentages. Missing values are an en dash, never "None".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = [
    "MISSING",
    "better",
    "count",
    "duration",
    "fence",
    "interval",
    "markdown",
    "number",
    "p_value",
    "percent",
    "phrase",
    "plain",
    "shorten",
    "size",
    "words",
]

MISSING = "–"
UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
NAMES = {
    # metrics
    "mcc": "MCC", "ece": "ECE", "f1": "F1", "bleu": "BLEU", "chrf": "chrF", "chrf++": "chrF++", "ter": "TER",
    "wer": "WER", "cer": "CER", "mse": "MSE", "mae": "MAE", "brier": "Brier score", "pr_auc": "PR-AUC",
    "ece_calibrated": "ECE, calibrated", "brier_calibrated": "Brier score, calibrated",
    "pearson": "Pearson correlation", "spearman": "Spearman correlation",
    "f1_micro": "Micro F1", "precision_micro": "Micro precision", "recall_micro": "Micro recall",
    "f1_macro": "Macro F1", "f1_samples": "F1 per example",
    "f1_positive": "F1 of the positive class", "pr_auc_positive": "PR-AUC of the positive class",
    "semeval2010": "SemEval-2010 F1", "precision_semeval2010": "SemEval-2010 precision",
    "recall_semeval2010": "SemEval-2010 recall",
    "rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "rougeLsum": "ROUGE-Lsum",
    "has_answer_exact_match": "Exact match, answerable",
    "has_answer_f1": "F1, answerable",
    "no_answer_accuracy": "Accuracy, no answer",
    # baselines
    "untuned": "Untuned checkpoint", "lstm": "LSTM from scratch",
    "tfidf": "TF-IDF", "tfidf_each": "TF-IDF for each label", "tfidf_ridge": "TF-IDF, ridge regression",
    "copy": "The source itself", "lead": "First sentences",
    "most_frequent": "Most frequent labels", "overlap": "Share of common words",
    # the machine
    "cpu": "CPU", "gpu": "GPU", "llmkit": "llmkit", "world_size": "Processes",
}  # fmt: skip
PEOPLE = ("Brier", "Hamming", "Pearson", "Spearman")  # keep their capital inside a sentence
LOWER = frozenset(
    {"loss", "mse", "mae", "hamming_loss", "ece", "brier", "ter", "wer", "cer", "perplexity", "bits_per_byte"}
)


def number(value: float | None) -> str:
    """Three decimals for what lies near 1, fewer for more, powers of ten for less than 0.0005."""
    if value is None:
        return MISSING
    magnitude = abs(value)
    if 0 < magnitude < 0.0005:
        return re.sub(r"e([+-])0*", r"e\1", f"{value:.1e}").replace(".0e", "e")
    decimals = 3 if magnitude < 10 else 2 if magnitude < 100 else 1 if magnitude < 1000 else 0
    return f"{value or 0.0:,.{decimals}f}"  # `or` turns -0.0 into 0.0


def interval(score: Mapping[str, Any]) -> str:
    """`0.840 to 0.882`, or a dash where the score has no interval."""
    if score.get("low") is None or score.get("high") is None:
        return MISSING
    return f"{number(score['low'])} to {number(score['high'])}"


def count(value: float | None) -> str:
    """A whole number with commas."""
    return MISSING if value is None else f"{round(value):,}"


def percent(share: float | None) -> str:
    """A share in [0, 1] as a percentage with one decimal; a trace is not rounded to nothing."""
    if share is None:
        return MISSING
    return "< 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"


def p_value(value: float | None) -> str:
    if value is None:
        return MISSING
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def duration(seconds: float | None) -> str:
    """`12.3 s`, `4 min 50 s`, `3 h 05 min`."""
    if seconds is None:
        return MISSING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def size(amount: float | None) -> str:
    """Bytes in decimal units: `1.30 GB`."""
    if amount is None:
        return MISSING
    for unit, name in UNITS:
        if amount >= unit:
            return f"{amount / unit:,.2f} {name}"
    return f"{amount:.0f} bytes"


def plain(value: Any) -> str:
    """A setting as text: lists and mappings in one line."""
    if value is None:
        return MISSING
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(own)}" for name, own in value.items())
    return ", ".join(map(plain, value)) if isinstance(value, list | tuple) else str(value)


def words(name: str) -> str:
    """A key as a heading: `f1_micro` -> `Micro F1`, `learning_rate` -> `Learning rate`."""
    if name in NAMES:
        return NAMES[name]
    first, *rest = name.split("_")
    return " ".join([NAMES.get(first) or first[:1].upper() + first[1:], *rest])


def phrase(name: str) -> str:
    """A key inside a sentence: `exact_match` -> `exact match`, `f1` -> `F1`, `pearson` -> `Pearson correlation`."""
    named = words(name)
    first = re.match(r"[A-Z][a-z]+(?![A-Za-z])", named)
    return named if first is None or first[0] in PEOPLE else named[:1].lower() + named[1:]


def better(name: str) -> str:
    """What to say beside a score of which less is better; of the others nothing."""
    return "lower is better" if name in LOWER else ""


def shorten(text: str, most: int) -> str:
    """At most `most` characters, the last an ellipsis where something was left out."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def markdown(text: str) -> str:
    """Text from data so that Markdown shows it as it is: no markup, no HTML, no line break."""
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", flat)


def fence(text: str) -> str:
    """A row of backticks longer than any in the text: the fence that the text can't close."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(3, longest + 1)
