"""Choose the tokens that masked language modelling masks, from the random number of each example.

    Masking(rate=0.15, mask_id=103, vocab_size=30522).mask(ids_L, words_L, draw=7)

Of the chosen tokens 80% become [MASK], 10% become a random token and 10% stay as they are. The choice does not depend
on how examples are batched. Shapes: L tokens, W words.

Source: Devlin et al. 2019, section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmkit.data.encoding.collate import IGNORED

__all__ = ["NEVER_MASKED", "Masking"]

Ints = NDArray[np.int64]

NEVER_MASKED = 0  # the word number of tokens that are never masked: special tokens and padding


@dataclass(frozen=True)
class Masking:
    """Masks words as a whole.

    Attributes:
        rate: The share of tokens to choose.
        mask_id: The id of the mask token.
        vocab_size: Random tokens have ids below this number.
    """

    rate: float
    mask_id: int
    vocab_size: int

    def mask(self, ids_L: Ints, words_L: Ints, draw: int) -> tuple[Ints, Ints]:
        """Mask some words of an example.

        Args:
            ids_L: The token ids.
            words_L: The word number of each token; the tokens of one word have the same number.
            draw: The random number of the example.

        Returns:
            The ids after masking, and the labels: the original id of each chosen token, IGNORED elsewhere.
        """
        rng = np.random.default_rng(draw)
        chosen_L = self._choose(words_L, rng)
        # One pair of random numbers per token, in order: padding at the end does not change those before it.
        kind_L, luck_L = rng.random((len(ids_L), 2)).T
        random_ids_L = (luck_L * self.vocab_size).astype(np.int64)
        masked_L = np.where(kind_L < 0.8, self.mask_id, np.where(kind_L < 0.9, random_ids_L, ids_L))
        return np.where(chosen_L, masked_L, ids_L), np.where(chosen_L, ids_L, IGNORED)

    def _choose(self, words_L: Ints, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Choose words at random, at least one, so that their share of the tokens is nearest to the rate."""
        words_W, sizes_W = np.unique(words_L[words_L != NEVER_MASKED], return_counts=True)
        if not len(words_W):
            return np.zeros(len(words_L), bool)
        order_W = rng.permutation(len(words_W))
        tokens_W = np.cumsum(sizes_W[order_W])
        count = 1 + int(np.abs(tokens_W - self.rate * tokens_W[-1]).argmin())
        return np.isin(words_L, words_W[order_W[:count]])
