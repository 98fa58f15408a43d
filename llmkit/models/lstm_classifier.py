"""A baseline: an LSTM classifier trained from scratch on the same token ids, without any pretraining.

    model = LstmClassifier(assign_embedding_rows(train_ids, vocabulary=30522), outputs=2)
    model(input_ids, attention_mask).logits  ->  (B, C)

A bidirectional LSTM whose hidden states are max-pooled over the tokens. It is called like a transformers model, so a
task's own loss and decoding apply to it. As a baseline it is small: a million weights, trained in seconds on a CPU. It
always computes in fp32.

Source: Hochreiter and Schmidhuber 1997; max pooling, Conneau et al. 2017 (InferSent).
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
MIN_COUNT = 2  # occurrences in the training texts from which a token has an embedding of its own


@dataclass(frozen=True)
class Output:
    """The output of the forward: logits (B, C)."""

    logits: Tensor


def assign_embedding_rows(train_ids: NDArray[np.int32], vocabulary: int) -> NDArray[np.int64]:
    """Assign an embedding row to each token id of the vocabulary.

    Frequent tokens get rows 1, 2, ...; all tokens that occur fewer than MIN_COUNT times share row 0. Rare tokens share
    it with unseen ones, so that it is trained.

    Args:
        train_ids: The token ids of all training texts.
        vocabulary: The size of the vocabulary.

    Returns:
        The row of each token id, (vocabulary,).
    """
    frequent = np.flatnonzero(np.bincount(train_ids, minlength=vocabulary) >= MIN_COUNT)
    rows = np.zeros(vocabulary, np.int64)
    rows[frequent] = np.arange(1, len(frequent) + 1)
    return rows


class LstmClassifier(nn.Module):
    """The classifier.

    Its weights are drawn from torch's default generator, so seed that first.

    Args:
        rows: The embedding row of each token id, from `assign_embedding_rows`.
        outputs: The number of outputs.
        bias: The initial bias of the output layer, one number per output.
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
        token_type_ids: Tensor | None = None,  # noqa: ARG002 -- part of a task's batch, not used here
    ) -> Output:
        """Compute the logits of texts padded on the right. Padding has no effect."""
        with torch.autocast(input_ids.device.type, enabled=False):
            embedded_BLE = self.dropout(self.embedding(self.rows[input_ids]))
            lengths_B = attention_mask.sum(1).cpu()
            # Packed, because the backward direction would otherwise begin in the padding.
            packed = pack_padded_sequence(embedded_BLE, lengths_B, batch_first=True, enforce_sorted=False)
            states_BLH, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
            padding_BL1 = attention_mask.unsqueeze(-1) == 0
            pooled_BH = states_BLH.masked_fill(padding_BL1, -torch.inf).amax(1)
            return Output(self.head(self.dropout(pooled_BH)))
