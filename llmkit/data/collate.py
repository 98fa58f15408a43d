"""Examples to tensors, padded only to the longest of the micro-batch. Shapes: B examples, L tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llmkit.data.encode import Encoded

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["collate"]

PADDING = {"labels": -100, "attention_mask": 0, "token_type_ids": 0}  # input_ids: the tokenizer's own


def collate(
    encoded: Encoded,
    indices: NDArray[np.int64],
    *,
    pad_token_id: int,
    scalars: Mapping[str, NDArray[np.generic]],
) -> dict[str, Tensor]:
    """input_ids, attention_mask and other ragged columns as (B, L), and the scalar columns as (B,).

    scalars are indexed by example like the ragged columns (class labels, for instance).
    """
    import torch

    batch: dict[str, Tensor] = {}
    for name, column in encoded.ragged.items():
        rows = [column[int(index)] for index in indices]
        padded = np.full((len(rows), max(map(len, rows))), PADDING.get(name, pad_token_id), np.int64)
        mask = np.zeros_like(padded)
        for number, row in enumerate(rows):
            padded[number, : len(row)] = row
            mask[number, : len(row)] = 1
        batch[name] = torch.from_numpy(padded)
        if name == "input_ids":
            batch["attention_mask"] = torch.from_numpy(mask)
    for name, values in scalars.items():
        batch[name] = torch.from_numpy(values[indices])
    return batch
