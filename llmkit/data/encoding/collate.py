"""Examples to tensors, padded only to the longest of the micro-batch. Shapes: B examples, L tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llmkit.data.encoding.encode import Encoded

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["IGNORED", "collate"]

IGNORED = -100  # as a label: this token has no part in the loss


def collate(
    encoded: Encoded,
    indices: NDArray[np.int64],
    *,
    pad_token_id: int,
    scalars: Mapping[str, NDArray[Any]],
) -> dict[str, Tensor]:
    """Some windows: input_ids, attention_mask and the other ragged columns as (B, L), and the scalar columns.

    Labels, targets and rejected answers are padded with IGNORED, all else but input_ids with 0; each column is as long
    as the longest of its own rows. scalars are indexed by example (class labels, for instance): (examples,) becomes
    (B,), (examples, C) becomes (B, C).
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
