"""Padding only to the longest of the micro-batch, and marked as padding."""

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


def test_rows_are_padded_to_the_longest_of_the_batch_with_a_mask() -> None:
    batch = collate(ENCODED, np.array([1, 2]), pad_token_id=3, scalars={})
    assert batch["input_ids"].tolist() == [[5, 3], [6, 6]]
    assert batch["attention_mask"].tolist() == [[1, 0], [1, 1]]
    assert batch["labels"].tolist() == [[0, -100], [1, 1]]


def test_texts_to_write_are_padded_by_their_own_length_and_count_as_tokens() -> None:
    columns = {"input_ids": Ragged.from_rows([[7, 8, 9], [5]]), "targets": Ragged.from_rows([[1], [2, 3]])}
    encoded = Encoded(columns, TokenCounts(), examples=np.arange(2))
    batch = collate(encoded, np.array([0, 1]), pad_token_id=3, scalars={})
    assert batch["targets"].tolist() == [[1, -100], [2, 3]]
    assert encoded.lengths.tolist() == [4, 3]


def test_scalars_follow_their_examples() -> None:
    """The third window is one of the second example."""
    batch = collate(ENCODED, np.array([2, 0]), pad_token_id=0, scalars={"score": np.array([10, 11])})
    assert batch["score"].tolist() == [11, 10]


def test_scalars_of_several_numbers_follow_too() -> None:
    marks = np.array([[1, 0, 0], [0, 1, 1]])
    batch = collate(ENCODED, np.array([2, 0, 1]), pad_token_id=0, scalars={"marks": marks})
    assert batch["marks"].tolist() == [[0, 1, 1], [1, 0, 0], [0, 1, 1]]


def test_all_but_ids_and_labels_are_padded_with_0() -> None:
    """Type 0, no context: a padded token must look like nothing."""
    columns = {"input_ids": [[7, 8, 9], [5]], "token_type_ids": [[0, 1, 1], [1]], "context": [[0, 1, 1], [1]]}
    encoded = Encoded(
        {name: Ragged.from_rows(rows) for name, rows in columns.items()}, TokenCounts(), examples=np.arange(2)
    )
    batch = collate(encoded, np.array([0, 1]), pad_token_id=3, scalars={})
    assert batch["token_type_ids"].tolist() == batch["context"].tolist() == [[0, 1, 1], [1, 0, 0]]
    assert batch["input_ids"].tolist() == [[7, 8, 9], [5, 3, 3]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_columns_of_one_number_a_window_stay_that_narrow() -> None:
    columns = {"input_ids": [[7, 8, 9], [5]], "start": [[2], [0]]}
    encoded = Encoded(
        {name: Ragged.from_rows(rows) for name, rows in columns.items()}, TokenCounts(), examples=np.arange(2)
    )
    batch = collate(encoded, np.array([1, 0]), pad_token_id=3, scalars={})
    assert batch["start"].tolist() == [[0], [2]]
    assert all(tensor.dtype == torch.int64 for tensor in batch.values())


def test_what_stands_aside_is_not_for_the_model() -> None:
    encoded = Encoded(
        {"input_ids": Ragged.from_rows([[7, 8]])},
        TokenCounts(),
        examples=np.array([0]),
        decode_columns={"words": Ragged.from_rows([[-1, 0]])},
    )
    batch = collate(encoded, np.array([0]), pad_token_id=3, scalars={})
    assert set(batch) == {"input_ids", "attention_mask"}
