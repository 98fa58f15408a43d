"""Tests of the collation into padded tensors."""

from __future__ import annotations

import numpy as np
import torch

from llmkit.data.encoding.collate import collate
from llmkit.data.encoding.features import Encoded, Ragged, TokenCounts

ENCODED = Encoded(
    {
        "input_ids": Ragged.from_rows([[7, 8, 9], [5], [6, 6]]),
        "labels": Ragged.from_rows([[1, 0, 1], [0], [1, 1]]),
    },
    TokenCounts(),
    examples=np.array([0, 1, 1]),
)


def test_rows_are_padded_to_the_longest_of_the_batch_and_masked() -> None:
    batch = collate(ENCODED, np.array([1, 2]), pad_token_id=3, scalars={})
    assert batch["input_ids"].tolist() == [[5, 3], [6, 6]]
    assert batch["attention_mask"].tolist() == [[1, 0], [1, 1]]
    assert batch["labels"].tolist() == [[0, -100], [1, 1]]


def test_targets_are_padded_to_their_own_longest_and_count_as_tokens() -> None:
    columns = {"input_ids": Ragged.from_rows([[7, 8, 9], [5]]), "targets": Ragged.from_rows([[1], [2, 3]])}
    encoded = Encoded(columns, TokenCounts(), examples=np.arange(2))
    batch = collate(encoded, np.array([0, 1]), pad_token_id=3, scalars={})
    assert batch["targets"].tolist() == [[1, -100], [2, 3]]
    assert encoded.lengths.tolist() == [4, 3]


def test_scalars_are_those_of_the_windows_examples() -> None:
    """The third window belongs to the second example."""
    batch = collate(ENCODED, np.array([2, 0]), pad_token_id=0, scalars={"score": np.array([10, 11])})
    assert batch["score"].tolist() == [11, 10]


def test_scalars_may_be_rows_of_numbers() -> None:
    indicators = np.array([[1, 0, 0], [0, 1, 1]])
    batch = collate(ENCODED, np.array([2, 0, 1]), pad_token_id=0, scalars={"indicators": indicators})
    assert batch["indicators"].tolist() == [[0, 1, 1], [1, 0, 0], [0, 1, 1]]


def test_other_columns_are_padded_with_0() -> None:
    """Padding has token type 0 and is not part of the context."""
    columns = {"input_ids": [[7, 8, 9], [5]], "token_type_ids": [[0, 1, 1], [1]], "context": [[0, 1, 1], [1]]}
    encoded = Encoded(
        {name: Ragged.from_rows(rows) for name, rows in columns.items()}, TokenCounts(), examples=np.arange(2)
    )
    batch = collate(encoded, np.array([0, 1]), pad_token_id=3, scalars={})
    assert batch["token_type_ids"].tolist() == batch["context"].tolist() == [[0, 1, 1], [1, 0, 0]]
    assert batch["input_ids"].tolist() == [[7, 8, 9], [5, 3, 3]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_columns_of_one_number_per_window_keep_width_1() -> None:
    columns = {"input_ids": [[7, 8, 9], [5]], "start": [[2], [0]]}
    encoded = Encoded(
        {name: Ragged.from_rows(rows) for name, rows in columns.items()}, TokenCounts(), examples=np.arange(2)
    )
    batch = collate(encoded, np.array([1, 0]), pad_token_id=3, scalars={})
    assert batch["start"].tolist() == [[0], [2]]
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())


def test_decode_columns_are_not_in_the_batch() -> None:
    encoded = Encoded(
        {"input_ids": Ragged.from_rows([[7, 8]])},
        TokenCounts(),
        examples=np.array([0]),
        decode_columns={"words": Ragged.from_rows([[-1, 0]])},
    )
    batch = collate(encoded, np.array([0]), pad_token_id=3, scalars={})
    assert set(batch) == {"input_ids", "attention_mask"}
