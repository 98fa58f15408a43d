"""Which tokens make up a word, so that masked language modelling can hide it whole.

    in_words(["unaffable words"], tokenizer, "tokenizer")   ->   ids [un, ##aff, ##able, words], words [1, 1, 1, 2]

With a part of a word in sight the rest is too easy (whole-word masking, Devlin's BERT repository, 2019; for Chinese
words Cui et al. 2021).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import UserError
from llmkit.data.encoding.masking import NEVER

__all__ = ["Unit", "in_words"]

Ints = NDArray[np.int64]
Unit = Literal["token", "tokenizer", "jieba"]

LONGEST = 10  # tokens; what the tokenizer takes for a longer word is a sentence without spaces, or an address


def in_words(texts: Sequence[str], tokenizer: Any, unit: Unit) -> Iterator[tuple[Ints, Ints]]:
    """(ids, words) of each text, without special tokens around. Equal words belong together, numbered from 1.

    Special tokens that stand in a text ([UNK] ...) are NEVER. unit: each token by itself, the words that the tokenizer
    splits a text into first, or those that jieba finds. Raises UserError E03 without jieba.
    """
    found = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    special = tokenizer.all_special_ids
    cut = _jieba() if unit == "jieba" else None
    for number, text in enumerate(texts):
        ids = np.array(found["input_ids"][number], np.int64)
        words = np.arange(1, len(ids) + 1)
        if cut:
            words = _by_offsets(found["offset_mapping"][number], cut(text))
        elif unit == "tokenizer":
            words = _short(np.array(found.word_ids(number), np.int64) + 1)
        yield ids, np.where(np.isin(ids, special), NEVER, words)


def _short(words: Ints) -> Ints:
    """Tokens of words that are too long stand by themselves."""
    _, numbers, sizes = np.unique(words, return_inverse=True, return_counts=True)
    alone = sizes[numbers] > LONGEST
    begins = alone | np.append(True, words[1:] != words[:-1])[: len(words)]
    return np.cumsum(begins)


def _by_offsets(spans: Sequence[tuple[int, int]], words: Sequence[str]) -> Ints:
    """The word that holds the first character of each token."""
    starts = np.cumsum([0, *(len(word) for word in words)])
    return np.searchsorted(starts, [start for start, _ in spans], side="right").astype(np.int64)


def _jieba() -> Callable[[str], list[str]]:
    try:
        import jieba
    except ImportError as error:
        fix = 'pip install "llmkit[zh]", or set task.words=tokenizer'
        raise UserError("E03", "task.words", "needs the package jieba", fix) from error
    jieba.setLogLevel(logging.WARNING)
    return lambda text: list(jieba.cut(text))
