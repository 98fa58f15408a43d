"""Padding only to the longest of the micro-batch, and marked as padding."""

from __future__ import annotations

import numpy as np

from llmkit.data.collate import collate
from llmkit.data.encode import Encoded, Ragged, TokenCounts

ENCODED = Encoded(
    {"input_ids": Ragged.of([[7, 8, 9], [5], [6, 6]]), "labels": Ragged.of([[1, 0, 1], [0], [1, 1]])},
    TokenCounts(),
    examples=np.array([0, 1, 1]),
)


def test_rows_are_padded_to_the_longest_of_the_batch_with_a_mask() -> None:
    batch = collate(ENCODED, np.array([1, 2]), pad_token_id=3, scalars={})
    assert batch["input_ids"].tolist() == [[5, 3], [6, 6]]
    assert batch["attention_mask"].tolist() == [[1, 0], [1, 1]]
    assert batch["labels"].tolist() == [[0, -100], [1, 1]]


def test_scalars_follow_their_examples() -> None:
    """The third window is one of the second example."""
    batch = collate(ENCODED, np.array([2, 0]), pad_token_id=0, scalars={"score": np.array([10, 11])})
    assert batch["score"].tolist() == [11, 10]
