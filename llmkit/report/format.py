"""Format values for readers: scores with three decimals, counts with commas, times and sizes with units.

    number(0.8623) -> "0.862"      interval(score) -> "0.840 to 0.882"

Each kind of value has one form in the whole report: scores and losses are plain numbers, shares of examples or tokens
are percentages, and a missing value is an en dash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

__all__ = [
    "MISSING",
    "Interval",
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
    "titled",
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
    "untuned": "Base model", "lstm": "LSTM from scratch",
    "tfidf": "TF-IDF", "tfidf_each": "TF-IDF for each label", "tfidf_ridge": "TF-IDF, ridge regression",
    "copy": "Copy of the source", "lead": "First sentences",
    "most_frequent": "Most frequent labels", "overlap": "Share of common words",
    "majority": "Most frequent class", "mean": "Mean score",
    # hardware
    "cpu": "CPU", "gpu": "GPU", "llmkit": "llmkit", "world_size": "Processes",
}  # fmt: skip
NAMED_AFTER = ("Brier", "Hamming", "Pearson", "Spearman")  # capitalized inside a sentence too
LOWER = frozenset(
    {"loss", "mse", "mae", "hamming_loss", "ece", "brier", "ter", "wer", "cer", "perplexity", "bits_per_byte"}
)


class Interval(Protocol):
    """Anything with two ends: a score, a difference, a bin."""

    @property
    def low(self) -> float | None: ...

    @property
    def high(self) -> float | None: ...


def number(value: float | None) -> str:
    """Format with three decimals near 1, fewer for larger numbers, and as a power of ten below 0.0005."""
    if value is None:
        return MISSING
    magnitude = abs(value)
    if 0 < magnitude < 0.0005:
        return re.sub(r"e([+-])0*", r"e\1", f"{value:.1e}").replace(".0e", "e")
    decimals = 3 if magnitude < 10 else 2 if magnitude < 100 else 1 if magnitude < 1000 else 0
    return f"{value or 0.0:,.{decimals}f}"  # `or` turns -0.0 into 0.0


def interval(score: Interval) -> str:
    """Format as `0.840 to 0.882`, or as a dash without an interval."""
    return (
        MISSING if score.low is None or score.high is None else f"{number(score.low)} to {number(score.high)}"
    )


def count(value: float | None) -> str:
    """Format as a whole number with commas."""
    return MISSING if value is None else f"{round(value):,}"


def percent(share: float | None) -> str:
    """Format a share in [0, 1] as a percentage with one decimal; a tiny share is `< 0.1 %`, not zero."""
    if share is None:
        return MISSING
    return "< 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"


def p_value(value: float | None) -> str:
    """Format with four decimals, or as `< 0.0001`."""
    if value is None:
        return MISSING
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def duration(seconds: float | None) -> str:
    """Format as `12.3 s`, `4 min 50 s` or `3 h 05 min`."""
    if seconds is None:
        return MISSING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, remainder = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {remainder:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def size(amount: float | None) -> str:
    """Format bytes in decimal units, such as `1.30 GB`."""
    if amount is None:
        return MISSING
    for unit, name in UNITS:
        if amount >= unit:
            return f"{amount / unit:,.2f} {name}"
    return f"{amount:.0f} bytes"


def plain(value: object) -> str:
    """Format a setting in one line; lists and mappings are joined by commas."""
    if value is None:
        return MISSING
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(item)}" for name, item in value.items())
    return ", ".join(map(plain, value)) if isinstance(value, list | tuple) else str(value)


def words(name: str) -> str:
    """Turn a key into a heading: `f1_micro` -> `Micro F1`, `learning_rate` -> `Learning rate`."""
    if name in NAMES:
        return NAMES[name]
    first, *others = name.split("_")
    return " ".join([NAMES.get(first) or first[:1].upper() + first[1:], *others])


def titled(name: str) -> str:
    """Turn the key of a metric into a caption: `accuracy` -> `Accuracy`, `mse` -> `MSE (lower is better)`."""
    return f"{words(name)} ({better(name)})" if better(name) else words(name)


def phrase(name: str) -> str:
    """Turn a key into words within a sentence: `exact_match` -> `exact match`, `pearson` -> `Pearson correlation`."""
    heading = words(name)
    first = re.match(r"[A-Z][a-z]+(?![A-Za-z])", heading)
    return heading if first is None or first[0] in NAMED_AFTER else heading[:1].lower() + heading[1:]


def better(name: str) -> str:
    """Return `lower is better` for the metrics where it is, and nothing for the others."""
    return "lower is better" if name in LOWER else ""


def shorten(text: str, most: int) -> str:
    """Shorten to at most `most` characters, with an ellipsis where text was left out."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def markdown(text: str) -> str:
    """Escape text from data so that Markdown shows it unchanged: no markup, no HTML, no line break."""
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", flat)


def fence(text: str) -> str:
    """Return a code fence with more backticks than any sequence of them in the text."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    return "`" * max(3, longest + 1)
