"""Masked language modelling: which tokens are hidden, as a function of the example's own random number.

    Masking(rate=0.15, mask_id=103, vocabulary=30522).hide(ids_L, words_L, draw=7)

Of the chosen tokens 80 % become [MASK], 10 % a random token and 10 % stay (Devlin et al. 2019, section 3.1). Nothing
depends on how examples are batched. Shapes: L tokens, W words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmkit.data.encoding.collate import IGNORED

__all__ = ["NEVER", "Masking"]

Ints = NDArray[np.int64]

NEVER = 0  # the word number of a token that is never hidden: special tokens, padding


@dataclass(frozen=True)
class Masking:
    """How to hide tokens. mask_id: that of [MASK]; vocabulary: ids below it may stand in for a token."""

    rate: float
    mask_id: int
    vocabulary: int

    def hide(self, ids_L: Ints, words_L: Ints, draw: int) -> tuple[Ints, Ints]:
        """(ids with some of them hidden, labels: the true id where a token was chosen, IGNORED elsewhere).

        words_L tells tokens of one word by equal numbers, NEVER apart; a word is chosen as a whole.
        """
        rng = np.random.default_rng(draw)
        chosen_L = self._choose(words_L, rng)
        fate_L, luck_L = rng.random((len(ids_L), 2)).T  # token by token: padding behind changes nothing
        strangers_L = (luck_L * self.vocabulary).astype(np.int64)
        hidden_L = np.where(fate_L < 0.8, self.mask_id, np.where(fate_L < 0.9, strangers_L, ids_L))
        return np.where(chosen_L, hidden_L, ids_L), np.where(chosen_L, ids_L, IGNORED)

    def _choose(self, words_L: Ints, rng: np.random.Generator) -> NDArray[np.bool_]:
        """As many words at random as come nearest to the rate in tokens, at least one."""
        words_W, sizes_W = np.unique(words_L[words_L != NEVER], return_counts=True)
        if not len(words_W):
            return np.zeros(len(words_L), bool)
        order_W = rng.permutation(len(words_W))
        reached_W = np.cumsum(sizes_W[order_W])
        most = 1 + int(np.abs(reached_W - self.rate * reached_W[-1]).argmin())
        return np.isin(words_L, words_W[order_W[:most]])
