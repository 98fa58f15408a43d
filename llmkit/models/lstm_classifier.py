"""An LSTM trained from scratch on the same token ids: what the rows alone teach, without any pretraining.

    model = LstmClassifier(rows_of(train_ids, vocabulary=30522), outputs=2)
    model(input_ids, attention_mask).logits  ->  (B, C)

A bidirectional LSTM (Hochreiter and Schmidhuber 1997) whose states are max-pooled over the tokens (Conneau et al.
2017, InferSent). It is called as a transformers model is, so a task's own loss and decoding work on it. Small on
purpose (a million weights, seconds on a CPU): it is there to be beaten, not to win. Always computed in fp32.
Shapes: B texts, L tokens, E embedding size, H hidden size of both directions, C outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

__all__ = ["LstmClassifier", "Output", "assign_embedding_rows"]

SIZE = 64  # of the embedding, and of the hidden state in each direction
DROPOUT = 0.5  # of the embeddings and the pooled states
SEEN = 2  # times that a token stands in the training texts to have an embedding of its own


@dataclass(frozen=True)
class Output:
    """What the forward gives: logits (B, C)."""

    logits: Tensor


def assign_embedding_rows(train_ids: NDArray[np.int32], vocabulary: int) -> NDArray[np.int64]:
    """(vocabulary,): the embedding row of each token id, 1, 2 ...; 0, one row for all, where training hardly has it.

    Rare tokens share their row with unseen ones, so that it is trained too.
    """
    kept = np.flatnonzero(np.bincount(train_ids, minlength=vocabulary) >= SEEN)
    rows = np.zeros(vocabulary, np.int64)
    rows[kept] = np.arange(1, len(kept) + 1)
    return rows


class LstmClassifier(nn.Module):
    """rows is what `rows_of` gives; bias is what it answers before it is trained, one number for each output.

    Its weights are drawn from torch's generator: seed that first.
    """

    rows: Tensor

    def __init__(self, rows: NDArray[np.int64], outputs: int, bias: Sequence[float] | None = None) -> None:
        super().__init__()
        self.register_buffer("rows", torch.from_numpy(rows))
        self.embedding = nn.Embedding(int(rows.max(initial=0)) + 1, SIZE)
        self.lstm = nn.LSTM(SIZE, SIZE, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(2 * SIZE, outputs)
        if bias is not None:
            with torch.no_grad():
                self.head.bias.copy_(torch.tensor(bias))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,  # noqa: ARG002 -- a task passes on what the batch holds
    ) -> Output:
        """Texts are padded on the right; padding has no part in the logits. token_type_ids are not read."""
        with torch.autocast(input_ids.device.type, enabled=False):
            embedded_BLE = self.dropout(self.embedding(self.rows[input_ids]))
            lengths_B = attention_mask.sum(
                1
            ).cpu()  # packed, or the backward direction would begin in the padding
            packed = pack_padded_sequence(embedded_BLE, lengths_B, batch_first=True, enforce_sorted=False)
            states_BLH, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
            padding_BL1 = attention_mask.unsqueeze(-1) == 0
            pooled_BH = states_BLH.masked_fill(padding_BL1, -torch.inf).amax(1)
            return Output(self.head(self.dropout(pooled_BH)))
