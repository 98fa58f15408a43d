"""Number the words of a text by token, so that masked language modelling can mask whole words.

    number_words(["unaffable words"], tokenizer, "tokenizer")   ->   ids [un, ##aff, ##able, words], words [1, 1, 1, 2]

A masked token is too easy to predict when the other tokens of its word are visible.

Source: whole-word masking, Devlin's BERT repository, 2019; for Chinese words Cui et al. 2021.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from llmkit.base.errors import UserError
from llmkit.data.encoding.masking import NEVER_MASKED

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["WordUnit", "number_words"]

Ints = NDArray[np.int64]
WordUnit = Literal["token", "tokenizer", "jieba"]

LONGEST = 10  # tokens; what the tokenizer takes for a longer word is a URL or a sentence without spaces


def number_words(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, unit: WordUnit
) -> Iterator[tuple[Ints, Ints]]:
    """Yield the token ids and the word numbers of each text, without added special tokens.

    Words are numbered from 1. Special tokens written in a text, such as [UNK], get NEVER_MASKED.

    Args:
        texts: The texts.
        tokenizer: A fast tokenizer.
        unit: What counts as a word: a token, a word of the tokenizer's pre-tokenization, or a word found by jieba.

    Raises:
        UserError: E03 when jieba is needed but not installed.
    """
    batch: Any = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    special = tokenizer.all_special_ids
    segment = _load_jieba() if unit == "jieba" else None
    for row, text in enumerate(texts):
        ids = np.array(batch["input_ids"][row], np.int64)
        words = np.arange(1, len(ids) + 1)
        if segment:
            # A token belongs to the word that contains its first character.
            starts = np.cumsum([0, *(len(word) for word in segment(text))])
            firsts = [start for start, _ in batch["offset_mapping"][row]]
            words = np.searchsorted(starts, firsts, side="right").astype(np.int64)
        elif unit == "tokenizer":
            words = _divide_long_words(np.array(batch.word_ids(row), np.int64) + 1)
        yield ids, np.where(np.isin(ids, special), NEVER_MASKED, words)


def _divide_long_words(words: Ints) -> Ints:
    """Make each token of a word of more than LONGEST tokens a word of its own."""
    _, inverse, sizes = np.unique(words, return_inverse=True, return_counts=True)
    divided = sizes[inverse] > LONGEST
    starts = divided | np.append(True, words[1:] != words[:-1])[: len(words)]
    return np.cumsum(starts)


def _load_jieba() -> Callable[[str], list[str]]:
    try:
        import jieba
    except ImportError as error:
        fix = 'pip install "llmkit[zh]", or set task.words=tokenizer'
        raise UserError("E03", "task.words", "needs the package jieba", fix) from error
    jieba.setLogLevel(logging.WARNING)
    return lambda text: list(jieba.cut(text))
