"""Prediction: sorted by length, micro-batches under a token budget, shared among processes, put back in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from llmkit.engine.batching import Indices, split_for_prediction
from llmkit.engine.session import Session
from llmkit.engine.train import Batches

__all__ = ["Arrays", "predict", "stream_predictions"]

# Budgets of tokens, read and to be written, that are held while texts are written.
WRITTEN_ON_CPU, WRITTEN = 16, 2

Arrays = dict[str, NDArray[np.generic]]
Decode = Callable[[nn.Module, dict[str, Tensor]], dict[str, Tensor]]


def predict(
    session: Session,
    model: nn.Module,
    batches: Batches,
    decode: Decode,
    *,
    max_new_tokens: int = 0,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Arrays:
    """Decode every window of the data and return the results by window index, the same on all processes.

    Args:
        decode: Reduces a micro-batch to a few numbers per window (arg-max, probability, loss) or per token, so that
            memory never grows with the logits over a vocabulary.
        max_new_tokens: The number of tokens that `decode` generates for a window at most; 0 where it generates none.
        on_progress: Called after each micro-batch with (windows done, all windows) of this process.
    """
    mine = _cut(session, batches, max_new_tokens)[session.rank :: session.world_size]
    total = sum(map(len, mine))
    parts: list[tuple[Indices, Arrays]] = []
    so_far = 0
    for indices, outputs in stream_predictions(session, model, mine, batches, decode):
        parts.append((indices, outputs))
        so_far += len(indices)
        on_progress(so_far, total)
    gathered = [part for share in session.gather(parts) for part in share]
    return _in_order(gathered, len(batches.lengths))


def _cut(session: Session, batches: Batches, writes: int) -> list[Indices]:
    """Sorted by length. For each token written all weights are read once, so that more texts are written at once."""
    if not writes:
        return split_for_prediction(batches.lengths, batches.budget)
    wider = WRITTEN_ON_CPU if session.device.type == "cpu" else WRITTEN
    return split_for_prediction(batches.lengths + writes, wider * batches.budget)


def stream_predictions(
    session: Session, model: nn.Module, share: list[Indices], batches: Batches, decode: Decode
) -> Iterator[tuple[Indices, Arrays]]:
    """(example indices, decoded arrays) of each micro-batch, as they come."""
    model.eval()
    with torch.inference_mode(), session.accelerator.autocast():  # also for a model that it did not prepare
        for indices in share:
            outputs = decode(model, session.to_device(batches.fetch(indices, None)))
            yield indices, {name: value.cpu().numpy() for name, value in outputs.items()}


def _in_order(parts: list[tuple[Indices, Arrays]], windows: int) -> Arrays:
    """Arrays by window index. Every window must have come exactly once."""
    seen = np.concatenate([indices for indices, _ in parts]) if parts else np.empty(0, np.int64)
    assert len(seen) == windows == len(np.unique(seen)), "an example is missing or came twice"
    names = parts[0][1] if parts else {}
    return {name: _placed([(indices, arrays[name]) for indices, arrays in parts], windows) for name in names}


def _placed(parts: list[tuple[Indices, NDArray[np.generic]]], windows: int) -> NDArray[np.generic]:
    """One array, each row in its place; rows by token, (B, L), are filled up with 0 to the longest L."""
    first = parts[0][1]
    longest = [max(array.shape[1] for _, array in parts)] if first.ndim > 1 else []
    placed = np.zeros((windows, *longest, *first.shape[2:]), first.dtype)
    for indices, array in parts:
        if longest:
            placed[indices, : array.shape[1]] = array
        else:
            placed[indices] = array
    return placed
