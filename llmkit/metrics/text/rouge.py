"""ROUGE-1, -2, -L and -Lsum with the values of the package rouge_score, for texts in any script.

    rouge(["the cat sat"], [["a cat sat", "the cat lay"]]).values()["rouge1"]      # 66.67

The tokenizer is chosen by language or letters (see `rouge_tokens`) and named in the method string. If no reference has
a token, there is an error, where rouge_score prints 0 even for identical Chinese texts.

Source: Lin (2004), ROUGE: A Package for Automatic Evaluation of Summaries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from llmkit.base.errors import UserError
from llmkit.metrics.score import Floats, Ints, Metric, Statistics, column_ratio, ratio
from llmkit.metrics.text.lcs import Lanes, lcs_lengths, lcs_tokens
from llmkit.metrics.text.matches import Bag, count_matches, expand_spans, make_bigrams
from llmkit.metrics.text.rouge_tokens import TokenizedTexts, choose_tokenizer, tokenize

__all__ = ["NAMES", "rouge"]

NAMES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
BLOCK_PAIRS, BLOCK_CHARACTERS = 4096, 1 << 22  # processed at a time, so that memory stays at about 100 MB


def rouge(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    language: str | None = None,
    tokenizer: str | None = None,
    stemmer: bool = False,
) -> Statistics:
    """Compute F1 of each prediction with its best reference, for each kind of ROUGE; the score is the mean.

    Args:
        predictions: Predicted texts, (N,). Lsum takes the text between two "\\n" as a sentence.
        references: One or more references of each prediction, (N,).
        language: ISO 639-1 code of the references' language; None decides by their letters.
        tokenizer: Tokenizer of `rouge_tokens`, which takes precedence over the language.
        stemmer: Use Porter stemming (English only).

    Returns:
        Statistics (N, 5): the four F1 in [0, 100], and 1.

    Raises:
        UserError: E10 if no reference has a token, for an unknown tokenizer, and for a stemmer with a tokenizer that is
            not for English; E03 if the tokenizer's package is not installed.
    """
    assert len(predictions) == len(references) and all(references), "each prediction needs a reference"
    assert not any(isinstance(texts, str) for texts in references), "references are lists of texts"
    name = tokenizer or choose_tokenizer([text for texts in references for text in texts], language)
    f1, nonempty = [np.empty((0, len(NAMES)))], 0
    for block in _iterate_blocks(predictions, references):
        block_f1, block_nonempty = _best_f1(predictions[block], references[block], name, stemmer)
        f1.append(block_f1)
        nonempty += block_nonempty
    count = sum(map(len, references))
    if count and not nonempty:
        message = f'the tokenizer "{name}" finds no token in any reference, so ROUGE has nothing to compare'
        fix = 'name the language of the texts, or choose the tokenizer "characters" (Chinese, Japanese) or "unicode"'
        raise UserError("E10", "", message, fix)
    note = f"mean F1, 0-100; tokenizer {name}; {'Porter stemmer' if stemmer else 'no stemmer'}"
    if count > nonempty:
        note += f"; references without a token: {count - nonempty}"
    metrics = [
        Metric(kind, column_ratio(column, -1), note=note, point=1.0) for column, kind in enumerate(NAMES)
    ]
    rows = np.concatenate(f1)
    return Statistics(np.hstack([100 * rows, np.ones((len(rows), 1))]), tuple(metrics))


def _iterate_blocks(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Iterator[slice]:
    """Yield slices of examples with at most about BLOCK_PAIRS pairs and BLOCK_CHARACTERS characters."""
    start = pairs = characters = 0
    for place, (prediction, texts) in enumerate(zip(predictions, references)):
        pairs, characters = pairs + len(texts), characters + len(prediction) + sum(map(len, texts))
        if pairs >= BLOCK_PAIRS or characters >= BLOCK_CHARACTERS:
            yield slice(start, place + 1)
            start, pairs, characters = place + 1, 0, 0
    if start < len(predictions):
        yield slice(start, len(predictions))


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Pairs of a reference (P,) and a candidate (P,), as indices into the texts."""

    texts: TokenizedTexts
    references: Ints
    candidates: Ints

    def __getitem__(self, some: Ints) -> _Pairs:
        return _Pairs(self.texts, self.references[some], self.candidates[some])


def _best_f1(
    predictions: Sequence[str], references: Sequence[Sequence[str]], tokenizer: str, stemmer: bool
) -> tuple[Floats, int]:
    """Return the best F1 of each prediction in [0, 1], (N, 4), and the number of references that have a token."""
    flat = [text for row in references for text in row]
    texts = tokenize([*predictions, *flat], tokenizer, stemmer=stemmer)
    counts = np.array([len(row) for row in references])
    pairs = _Pairs(texts, len(counts) + np.arange(len(flat)), np.repeat(np.arange(len(counts)), counts))
    best = np.maximum.reduceat(_f1_of_pairs(pairs), np.cumsum(counts) - counts)
    return best, int((_sizes(texts.spans)[len(counts) :] > 0).sum())


def _f1_of_pairs(pairs: _Pairs) -> Floats:
    """Compute the F1 of each pair, (P, 4), in the order of operations of rouge_score."""
    texts, size = pairs.texts, len(pairs.references)
    base = texts.vocabulary + 1
    first, second = _bag(texts, pairs.references), _bag(texts, pairs.candidates)
    unigrams = count_matches(first, second, size)
    # The end of a line does not separate the words of a bigram or of a subsequence, as in rouge_score.
    bigrams = count_matches(make_bigrams(first, base), make_bigrams(second, base), size)
    slots = np.arange(len(texts.tokens))
    lanes = Lanes(texts.tokens, slots, texts.spans[pairs.references], texts.spans[pairs.candidates])
    in_sequence = lcs_lengths(lanes)
    matches_4P = np.stack([unigrams, bigrams, in_sequence, _summary_matches(pairs, in_sequence)])
    sizes = _sizes(texts.spans)
    less = np.array([[0], [1], [0], [0]])  # a text has one bigram less than tokens
    recall, precision = (
        matches_4P / np.maximum(sizes[side] - less, 1) for side in (pairs.references, pairs.candidates)
    )
    return ratio(2 * precision * recall, precision + recall).T


def _bag(texts: TokenizedTexts, chosen: Ints) -> Bag:
    owners, places = expand_spans(texts.spans[chosen])
    return Bag(owners, texts.tokens[places])


def _summary_matches(pairs: _Pairs, in_sequence: Ints) -> Ints:
    """Count the matches of ROUGE-Lsum, (P,), as `_summary_level_lcs` of rouge_score (Lin 2004, section 3.2).

    Of each reference line those tokens match that are in its LCS with any line of the candidate, each at most as often
    as in the candidate. If both texts are a single line, that is their LCS (`in_sequence`).
    """
    texts, matches = pairs.texts, in_sequence.copy()
    lines = _sizes(texts.line_spans)
    split = np.flatnonzero((lines[pairs.references] > 1) | (lines[pairs.candidates] > 1))
    pairs = pairs[split]
    owners, numbers = expand_spans(texts.line_spans[pairs.candidates])
    slots = np.arange(len(texts.tokens)) + np.repeat(np.arange(len(texts.lines)), _sizes(texts.lines))
    lanes = Lanes(texts.tokens, slots, texts.spans[pairs.references][owners], texts.lines[numbers])
    in_any = lcs_tokens(lanes)  # a reference is in one pair only
    owners, places = expand_spans(texts.spans[pairs.references])
    union = Bag(owners[in_any[places]], texts.tokens[places[in_any[places]]])
    matches[split] = count_matches(union, _bag(texts, pairs.candidates), len(split))
    return matches


def _sizes(spans: Ints) -> Ints:
    return spans[:, 1] - spans[:, 0]
