"""Prediction: run a model over examples in micro-batches sorted by length, on all processes, and restore the order."""

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

# How many times the usual token budget (input plus generated tokens) a micro-batch may hold during generation.
GENERATION_FACTOR_CPU, GENERATION_FACTOR = 16, 2

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
        session: The distributed session.
        model: The model, on this process's device.
        batches: The windows.
        decode: Reduces a micro-batch to a few numbers per window (arg-max, probability, loss) or per token, so that
            memory never grows with the logits over a vocabulary.
        max_new_tokens: The largest number of tokens that `decode` generates for a window; 0 when it generates none.
        on_progress: Called after each micro-batch with (windows done, all windows) of this process.

    Returns:
        Arrays by name, with one row per window. Results per token, (windows, L), are padded with 0 to the longest.
    """
    if max_new_tokens:
        # Every generated token reads all weights once, so larger micro-batches are faster.
        factor = GENERATION_FACTOR_CPU if session.device.type == "cpu" else GENERATION_FACTOR
        all_batches = split_for_prediction(batches.lengths + max_new_tokens, factor * batches.budget)
    else:
        all_batches = split_for_prediction(batches.lengths, batches.budget)
    micro_batches = all_batches[session.rank :: session.world_size]
    total = sum(map(len, micro_batches))
    results: list[tuple[Indices, Arrays]] = []
    done = 0
    for indices, outputs in stream_predictions(session, model, micro_batches, batches, decode):
        results.append((indices, outputs))
        done += len(indices)
        on_progress(done, total)
    gathered = [result for process in session.gather(results) for result in process]
    return _merge(gathered, len(batches.lengths))


def stream_predictions(
    session: Session, model: nn.Module, micro_batches: list[Indices], batches: Batches, decode: Decode
) -> Iterator[tuple[Indices, Arrays]]:
    """Yield (window indices, decoded arrays) of each micro-batch as soon as it is done."""
    model.eval()
    with (
        torch.inference_mode(),
        session.accelerator.autocast(),
    ):  # also for a model that accelerate did not prepare
        for indices in micro_batches:
            outputs = decode(model, session.to_device(batches.fetch(indices, None)))
            yield indices, {name: value.cpu().numpy() for name, value in outputs.items()}


def _merge(results: list[tuple[Indices, Arrays]], windows: int) -> Arrays:
    """Merge the results of micro-batches into arrays by window index. Every window must occur exactly once."""
    seen = np.concatenate([indices for indices, _ in results]) if results else np.empty(0, np.int64)
    assert len(seen) == windows == len(np.unique(seen)), "a window is missing or occurs twice"
    merged: Arrays = {}
    for name, first in (results[0][1] if results else {}).items():
        by_token = first.ndim > 1
        longest = [max(arrays[name].shape[1] for _, arrays in results)] if by_token else []
        merged[name] = np.zeros((windows, *longest, *first.shape[2:]), first.dtype)
        for indices, arrays in results:
            if by_token:
                merged[name][indices, : arrays[name].shape[1]] = arrays[name]
            else:
                merged[name][indices] = arrays[name]
    return merged
