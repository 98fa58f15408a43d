"""Settings of a metric, and the signature of the functions that compute one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkit.metrics.resampling import DEFAULT_RESAMPLING, Resampling

if TYPE_CHECKING:
    from llmkit.metrics.score import Ints, Score

__all__ = ["MetricSettings", "Scorer"]


@dataclass(frozen=True)
class MetricSettings:
    """Settings of a metric that a user can choose, and how its confidence intervals are computed.

    Args:
        language: ISO 639-1 code of the texts' language; None decides by their script.
        tokenizer: Tokenizer of BLEU (sacrebleu's names) or of ROUGE (words, characters, unicode or jieba).
        stemmer: Use Porter stemming, for English ROUGE.
        strict: Read entities as seqeval's strict mode does.
        groups: (N,) passage of each question; questions on one passage are resampled together.
        resampling: Confidence, number of resamples and seed.
    """

    language: str | None = None
    tokenizer: str | None = None
    stemmer: bool = False
    strict: bool = False
    groups: Ints | None = None
    resampling: Resampling = DEFAULT_RESAMPLING


# (predictions, references, settings) -> scores with intervals by key
Scorer = Callable[[Sequence[Any], Sequence[Any], MetricSettings], "dict[str, Score]"]
