"""Collate windows into tensors, padded to the longest window of the micro-batch. Shapes: B examples, L tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llmkit.data.encoding.features import Encoded

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["IGNORED", "collate"]

IGNORED = -100  # the label of a token that the loss leaves out


def collate(
    encoded: Encoded,
    indices: NDArray[np.int64],
    *,
    pad_token_id: int,
    scalars: Mapping[str, NDArray[Any]],
) -> dict[str, Tensor]:
    """Collate windows into a batch.

    Labels, targets and rejected answers are padded with IGNORED, input_ids with the padding token, other columns with
    0. Each column is as long as its own longest row.

    Args:
        encoded: The windows.
        indices: The windows of this batch, shape (B,).
        pad_token_id: The id that pads `input_ids`.
        scalars: Further columns, indexed by example, such as class labels: shape (examples,) or (examples, C).

    Returns:
        The ragged columns and `attention_mask`, each of shape (B, L), and the scalar columns, (B,) or (B, C).
    """
    import torch

    padding = {"input_ids": pad_token_id, **dict.fromkeys(("labels", "targets", "rejected"), IGNORED)}
    batch: dict[str, Tensor] = {}
    for name, column in encoded.ragged.items():
        rows = [column[int(index)] for index in indices]
        padded = np.full((len(rows), max(map(len, rows))), padding.get(name, 0), np.int64)
        mask = np.zeros_like(padded)
        for number, row in enumerate(rows):
            padded[number, : len(row)] = row
            mask[number, : len(row)] = 1
        batch[name] = torch.from_numpy(padded)
        if name == "input_ids":
            batch["attention_mask"] = torch.from_numpy(mask)
    for name, values in scalars.items():
        batch[name] = torch.from_numpy(values[encoded.examples[indices]])
    return batch
