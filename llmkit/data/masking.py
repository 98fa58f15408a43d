"""Masked language modelling: which tokens are hidden, as a function of the example's own random number.

Of the chosen tokens 80 % become [MASK], 10 % a random token and 10 % stay (Devlin et al. 2019, section 3.1). The
masks are drawn anew in every epoch and are the same in every evaluation; nothing depends on how examples are
batched. Shapes: L tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Masking", "NEVER"]

Ints = NDArray[np.int64]

NEVER = 0  # the word number of a token that is never hidden: special tokens, padding


@dataclass(frozen=True)
class Masking:
    """How to hide tokens. mask_id: that of [MASK]; vocabulary: ids below it may stand in for a token."""

    rate: float
    mask_id: int
    vocabulary: int

    def hide(self, ids_L: Ints, words_L: Ints, draw: int, ignored: int) -> tuple[Ints, Ints]:
        """(ids with some of them hidden, labels: the true id where it was chosen and `ignored` elsewhere).

        words_L numbers the words from 1; a word is hidden as a whole. As many words are chosen as come
        nearest to the rate, at least one.
        """
        rng = np.random.default_rng(draw)
        chosen_L = self._choose(words_L, rng)
        fate_L = rng.random(len(ids_L))
        strangers_L = rng.integers(0, self.vocabulary, len(ids_L))
        hidden_L = np.where(fate_L < 0.8, self.mask_id, np.where(fate_L < 0.9, strangers_L, ids_L))
        return np.where(chosen_L, hidden_L, ids_L), np.where(chosen_L, ids_L, ignored)

    def _choose(self, words_L: Ints, rng: np.random.Generator) -> NDArray[np.bool_]:
        words_W, sizes_W = np.unique(words_L[words_L != NEVER], return_counts=True)
        if not len(words_W):
            return np.zeros(len(words_L), bool)
        order = rng.permutation(len(words_W))
        reached = np.cumsum(sizes_W[order])
        wanted = max(1.0, self.rate * reached[-1])
        taken = max(
            1, int(np.abs(np.append(0, reached) - wanted).argmin())
        )  # whole words: as near as they come
        return np.isin(words_L, words_W[order[:taken]])
