"""Perplexity, bits per byte and loss of a language model, from sums over texts.

    of_sums([300.0], [100], [450]).values()               # {"perplexity": 20.1, "bits_per_byte": 0.96, "loss": 3.0}
    language_model([[-0.7, -2.3]], ["a text"]).values()   # from log-probabilities, one a token

Logarithms are natural: nats is what a token's log-probability is, with the sign turned. Perplexity and loss are per
token, so two models can be compared by them only with the same tokenizer; bits per byte (of UTF-8) can be compared
across tokenizers. Each figure is a ratio of sums over all texts, never a mean of means. U: texts (or windows).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from llmkit.base.errors import ErrorDetail, UserError, raise_if
from llmkit.metrics.score import Floats, Metric, Statistics

__all__ = ["from_log_probabilities", "from_sums"]

NATS, TOKENS, BYTES, HITS = range(4)  # columns of the statistics
LARGEST = 709.0  # nats; exp of more than 709.78 exceeds a double, and JSON has no infinity


def from_sums(
    nats: ArrayLike, tokens: ArrayLike, sizes: ArrayLike, hits: ArrayLike | None = None
) -> Statistics:
    """From sums (U,) over each text: nats, tokens that were predicted, bytes of UTF-8, and tokens predicted rightly.

    perplexity is exp(nats / tokens), at most 8e307; bits_per_byte is nats / ln 2 / bytes; loss is nats a
    token; token_accuracy comes with hits only. A score without tokens or bytes under it is nan.
    """
    columns = [nats, tokens, sizes] if hits is None else [nats, tokens, sizes, hits]
    rows = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
    return Statistics(rows, METRICS if hits is None else (*METRICS, TOKEN_ACCURACY))


def from_log_probabilities(log_probabilities: Sequence[Sequence[float]], texts: Sequence[str]) -> Statistics:
    """From the natural log-probability of each token, and the text that the tokens make.

    A token for which the model has none, such as the first one, is left out of the list; the text's bytes all count.
    UserError E02 for no rows, E04 for another number of rows, E07 for what is no log-probability: above 0 or not
    finite, and for a text without any.
    """
    if len(log_probabilities) != len(texts):
        message = f"{len(log_probabilities)} lists of log-probabilities, but {len(texts)} texts"
        raise UserError("E04", "", message, "give one list a text, in the same order")
    if not texts:
        raise UserError("E02", "", "there are no rows", "check the files")
    raise_if(list(_faults(log_probabilities, texts)), UserError)
    return from_sums(
        nats=[-math.fsum(row) for row in log_probabilities],
        tokens=[len(row) for row in log_probabilities],
        sizes=[_size(text) for text in texts],
    )


def _faults(log_probabilities: Sequence[Sequence[float]], texts: Sequence[str]) -> Iterator[ErrorDetail]:
    """The first fault of each row."""
    for number, (row, text) in enumerate(zip(log_probabilities, texts), 1):
        wrong = next(
            ((place, value) for place, value in enumerate(row, 1) if not -math.inf < value <= 0), None
        )
        if wrong:
            message = f"row {number}, token {wrong[0]}: {wrong[1]} is no log-probability"
            fix = "give natural logarithms of probabilities: finite, 0 at most"
            yield ErrorDetail("E07", "", message, fix)
        elif text and not len(row):
            message = f"row {number}: a text of {_size(text)} bytes without log-probabilities"
            yield ErrorDetail("E07", "", message, "leave the row out on both sides, or score its tokens")


def _size(text: str) -> int:
    """Bytes of UTF-8; a lone surrogate, which has none, counts as three."""
    return len(text.encode("utf-8", "surrogatepass"))


def _mean(sums: Floats, part: int, whole: int) -> Floats:
    over, under = sums[..., part], sums[..., whole]
    mean: Floats = np.divide(over, under, out=np.full(over.shape, np.nan), where=under > 0)
    return mean


def _loss(sums: Floats) -> Floats:
    return _mean(sums, NATS, TOKENS)


def _perplexity(sums: Floats) -> Floats:
    return np.exp(np.minimum(_loss(sums), LARGEST))


def _bits_per_byte(sums: Floats) -> Floats:
    return _mean(sums, NATS, BYTES) / math.log(2)


def _token_accuracy(sums: Floats) -> Floats:
    return _mean(sums, HITS, TOKENS)


METRICS = (
    Metric("perplexity", _perplexity, note="exp of nats a token", higher_is_better=False, point=None),
    Metric("bits_per_byte", _bits_per_byte, note="bytes of UTF-8", higher_is_better=False, point=None),
    Metric("loss", _loss, note="nats a token", higher_is_better=False, point=None),
)
TOKEN_ACCURACY = Metric("token_accuracy", _token_accuracy, note="tokens with the right one first")
