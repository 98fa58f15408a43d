"""ROUGE-1, -2, -L and -Lsum (Lin 2004) with the values of the package rouge_score, for texts of any script.

    rouge(["the cat sat"], [["a cat sat", "the cat lay"]]).values()["rouge1"]      # 66.67

What stands in for a text's words is chosen by language or letters (`rouge_tokens`) and named in the method
string; without a single token in all references there is no score, where rouge_score prints 0 for equal Chinese texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from llmkit.base.errors import UserError
from llmkit.metrics.score import Floats, Ints, Metric, Statistics, ratio
from llmkit.metrics.text.lcs import Lanes, lcs_lengths, lcs_tokens
from llmkit.metrics.text.matches import Bag, count_matches, expand_spans, make_bigrams
from llmkit.metrics.text.rouge_tokens import TokenizedTexts, choose_tokenizer, tokenize

__all__ = ["NAMES", "rouge"]

NAMES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
BLOCK_PAIRS, BLOCK_CHARACTERS = 4096, 1 << 22  # at a time, so that memory stays at some 100 MB


def rouge(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    language: str | None = None,
    tokenizer: str | None = None,
    stemmer: bool = False,
) -> Statistics:
    """F1 of each prediction (N,) with its best reference, each kind of ROUGE with its own; the score is their mean.

    Rows are (N, 5): the four F1 in [0, 100], and 1. Each prediction has one or more references. Lsum takes what
    stands between two "\\n" as a sentence. language is that of the references (ISO 639-1), None: by their letters;
    tokenizer, one of `rouge_tokens`, outdoes it; stemmer is Porter's, for English.
    UserError E10: no token in any reference, an unknown tokenizer, or a stemmer where words are not English;
    E03: the tokenizer's package is missing.
    """
    assert len(predictions) == len(references) and all(references), "each prediction needs a reference"
    assert not any(isinstance(several, str) for several in references), "references are lists of texts"
    name = tokenizer or choose_tokenizer([text for several in references for text in several], language)
    f1, filled = [np.empty((0, len(NAMES)))], 0
    for block in _blocks(predictions, references):
        found, with_tokens = _f1(predictions[block], references[block], name, stemmer)
        f1.append(found)
        filled += with_tokens
    count = sum(map(len, references))
    if count and not filled:
        raise _nothing_to_compare(name)
    rows = np.concatenate(f1)
    return Statistics(
        np.hstack([100 * rows, np.ones((len(rows), 1))]), _metrics(name, stemmer, count - filled)
    )


def _blocks(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Iterator[slice]:
    start = pairs = characters = 0
    for place, (prediction, several) in enumerate(zip(predictions, references)):
        pairs, characters = pairs + len(several), characters + len(prediction) + sum(map(len, several))
        if pairs >= BLOCK_PAIRS or characters >= BLOCK_CHARACTERS:
            yield slice(start, place + 1)
            start, pairs, characters = place + 1, 0, 0
    if start < len(predictions):
        yield slice(start, len(predictions))


def _f1(
    predictions: Sequence[str], references: Sequence[Sequence[str]], tokenizer: str, stemmer: bool
) -> tuple[Floats, int]:
    """Best F1 (N, 4) in [0, 1], and how many references have a token."""
    flat = [text for several in references for text in several]
    texts = tokenize([*predictions, *flat], tokenizer, stemmer=stemmer)
    counts = np.array([len(several) for several in references])
    pairs = _Pairs(texts, len(counts) + np.arange(len(flat)), np.repeat(np.arange(len(counts)), counts))
    best = np.maximum.reduceat(_f1_of_pairs(pairs), np.cumsum(counts) - counts)
    return best, int((_sizes(texts.spans)[len(counts) :] > 0).sum())


@dataclass(frozen=True, eq=False)
class _Pairs:
    """References (P,) and candidates (P,) by their numbers in texts."""

    texts: TokenizedTexts
    references: Ints
    candidates: Ints

    def __getitem__(self, some: Ints) -> _Pairs:
        return _Pairs(self.texts, self.references[some], self.candidates[some])


def _f1_of_pairs(pairs: _Pairs) -> Floats:
    """(P, 4), in the order of operations of rouge_score."""
    unigrams, neighbours = _ngram_hits(pairs)
    in_sequence = lcs_lengths(_whole(pairs))
    hits_4P = np.stack([unigrams, neighbours, in_sequence, _summary_hits(pairs, in_sequence)])
    sizes = _sizes(pairs.texts.spans)
    less = np.array([[0], [1], [0], [0]])  # a text has one bigram less than it has tokens
    recall, precision = (
        hits_4P / np.maximum(sizes[side] - less, 1) for side in (pairs.references, pairs.candidates)
    )
    return ratio(2 * precision * recall, precision + recall).T


def _ngram_hits(pairs: _Pairs) -> tuple[Ints, Ints]:
    """Of tokens and of neighbours (P,); the end of a line does not part neighbours, as in rouge_score."""
    size, base = len(pairs.references), pairs.texts.vocabulary + 1
    first, second = _bag(pairs.texts, pairs.references), _bag(pairs.texts, pairs.candidates)
    return count_matches(first, second, size), count_matches(
        make_bigrams(first, base), make_bigrams(second, base), size
    )


def _bag(texts: TokenizedTexts, chosen: Ints) -> Bag:
    owners, places = expand_spans(texts.spans[chosen])
    return Bag(owners, texts.tokens[places])


def _whole(pairs: _Pairs) -> Lanes:
    """Each pair with the ends of lines forgotten."""
    texts, spans = pairs.texts, pairs.texts.spans
    return Lanes(texts.tokens, np.arange(len(texts.tokens)), spans[pairs.references], spans[pairs.candidates])


def _summary_hits(pairs: _Pairs, in_sequence: Ints) -> Ints:
    """Of ROUGE-Lsum (P,), as `_summary_level_lcs` of rouge_score counts them (Lin 2004, section 3.2).

    Of each reference line the tokens that are in its LCS with any line of the candidate, each as often at most as the
    candidate has it. Where both are a single line, that is their LCS.
    """
    texts, found = pairs.texts, in_sequence.copy()
    lines = _sizes(texts.line_spans)
    split = np.flatnonzero((lines[pairs.references] > 1) | (lines[pairs.candidates] > 1))
    pairs = pairs[split]
    owners, numbers = expand_spans(texts.line_spans[pairs.candidates])
    slots = np.arange(len(texts.tokens)) + np.repeat(np.arange(len(texts.lines)), _sizes(texts.lines))
    lanes = Lanes(texts.tokens, slots, texts.spans[pairs.references][owners], texts.lines[numbers])
    in_any = lcs_tokens(lanes)  # a reference is in one pair only
    owners, places = expand_spans(texts.spans[pairs.references])
    union = Bag(owners[in_any[places]], texts.tokens[places[in_any[places]]])
    found[split] = count_matches(union, _bag(texts, pairs.candidates), len(split))
    return found


def _sizes(spans: Ints) -> Ints:
    return spans[:, 1] - spans[:, 0]


def _metrics(tokenizer: str, stemmer: bool, without_tokens: int) -> tuple[Metric, ...]:
    note = f"mean F1, 0-100; tokenizer {tokenizer}; {'Porter stemmer' if stemmer else 'no stemmer'}"
    if without_tokens:
        note += f"; references without a token: {without_tokens}"
    return tuple(Metric(name, _mean_of(place), note=note, point=1.0) for place, name in enumerate(NAMES))


def _mean_of(column: int) -> Callable[[Floats], Floats]:
    return lambda sums: ratio(sums[..., column], sums[..., -1])


def _nothing_to_compare(tokenizer: str) -> UserError:
    message = (
        f'the tokenizer "{tokenizer}" finds no token in any reference, so that ROUGE has nothing to compare'
    )
    fix = 'name the texts\' language, or choose the tokenizer "characters" (Chinese, Japanese) or "unicode"'
    return UserError("E10", "", message, fix)
