"""Perplexity, bits per byte and loss of a language model, from sums over texts.

    from_sums([300.0], [100], [450]).values()       # {"perplexity": 20.1, "bits_per_byte": 0.96, "loss": 3.0}
    from_log_probabilities([[-0.7, -2.3]], ["a text"]).values()     # one log-probability per token

Logarithms are natural, so losses are in nats. Perplexity and loss are per token: they compare two models only if both
use the same tokenizer. Bits per byte (of UTF-8) compare across tokenizers. Each score is a ratio of sums over all
texts, never a mean of means. U: number of texts (or windows).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from llmkit.base.errors import ErrorDetail, UserError, raise_if
from llmkit.metrics.score import Metric, Statistics, column_ratio

__all__ = ["from_log_probabilities", "from_sums"]

NATS, TOKENS, BYTES, HITS = range(4)  # columns of the statistics
LARGEST = 709.0  # nats; exp of more than 709.78 exceeds a double, and JSON has no infinity


def from_sums(
    nats: ArrayLike, tokens: ArrayLike, sizes: ArrayLike, hits: ArrayLike | None = None
) -> Statistics:
    """Make the statistics from sums over each text.

    The scores are perplexity, exp(nats / tokens) and at most 8e307; bits_per_byte, nats / ln 2 / bytes; loss, nats per
    token; and token_accuracy if hits are given. A score without tokens or bytes is nan.

    Args:
        nats: Summed negative log-probability of each text, (U,).
        tokens: Number of predicted tokens, (U,).
        sizes: Bytes of UTF-8, (U,).
        hits: Number of correctly predicted tokens, (U,).
    """
    columns = [nats, tokens, sizes] if hits is None else [nats, tokens, sizes, hits]
    rows = np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)
    return Statistics(rows, METRICS if hits is None else (*METRICS, TOKEN_ACCURACY))


def from_log_probabilities(log_probabilities: Sequence[Sequence[float]], texts: Sequence[str]) -> Statistics:
    """Make the statistics from the log-probability of each token.

    Args:
        log_probabilities: Natural log-probabilities of the tokens of each text. Tokens without one, such as the first,
            are left out of the list; all bytes of the text count.
        texts: The texts that the tokens form.

    Raises:
        UserError: E02 without texts; E04 if the numbers of lists and texts differ; E07 for a value that is not a
            log-probability (above 0 or not finite), and for a nonempty text without any.
    """
    if len(log_probabilities) != len(texts):
        message = f"{len(log_probabilities)} lists of log-probabilities, but {len(texts)} texts"
        raise UserError("E04", "", message, "give one list per text, in the same order")
    if not texts:
        raise UserError("E02", "", "there are no rows", "check the files")
    sizes = [
        len(text.encode("utf-8", "surrogatepass")) for text in texts
    ]  # a lone surrogate counts as 3 bytes
    errors: list[ErrorDetail] = []
    for number, (row, size) in enumerate(zip(log_probabilities, sizes), 1):
        invalid = [(place, value) for place, value in enumerate(row, 1) if not -math.inf < value <= 0]
        if invalid:
            message = f"row {number}, token {invalid[0][0]}: {invalid[0][1]} is not a log-probability"
            fix = "give natural logarithms of probabilities: finite and at most 0"
            errors.append(ErrorDetail("E07", "", message, fix))
        elif size and not len(row):
            message = f"row {number}: a text of {size} bytes has no log-probabilities"
            fix = "leave the row out of both files, or compute the log-probabilities of its tokens"
            errors.append(ErrorDetail("E07", "", message, fix))
    raise_if(errors, UserError)
    return from_sums(
        nats=[-math.fsum(row) for row in log_probabilities],
        tokens=[len(row) for row in log_probabilities],
        sizes=sizes,
    )


_nats_per_token = column_ratio(NATS, TOKENS, undefined=math.nan)
_nats_per_byte = column_ratio(NATS, BYTES, undefined=math.nan)

METRICS = (
    Metric(
        "perplexity",
        lambda sums: np.exp(np.minimum(_nats_per_token(sums), LARGEST)),
        note="exp of nats per token",
        higher_is_better=False,
        point=None,
    ),
    Metric(
        "bits_per_byte",
        lambda sums: _nats_per_byte(sums) / math.log(2),
        note="bytes of UTF-8",
        higher_is_better=False,
        point=None,
    ),
    Metric(
        "loss",
        _nats_per_token,
        note="nats per token",
        higher_is_better=False,
        point=None,
    ),
)
TOKEN_ACCURACY = Metric(
    "token_accuracy",
    column_ratio(HITS, TOKENS, undefined=math.nan),
    note="share of tokens predicted correctly",
)
