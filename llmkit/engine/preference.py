"""Log-probabilities of chosen and rejected answers, under the model and under the model before its adapter.

    policy_2B, reference_2B = compute_log_probabilities(model, batch, pad=pad)        # rows: chosen, rejected

A batch has the prompts in `input_ids` and `attention_mask` (B, L), the chosen answers in `targets` and the rejected
ones in `rejected`, (B, T) each with its own T. The reference model is the same model with its adapter switched off, so
there is no second copy of the weights.

Shapes: B pairs, L tokens of a prompt, T tokens of an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from llmkit.engine.generation.generate import IGNORED, sum_nats, unwrap_to_adapter
from llmkit.engine.supervised import compute_supervised_logits

__all__ = ["compute_log_probabilities"]


def compute_log_probabilities(
    model: nn.Module, batch: Mapping[str, Tensor], *, pad: int
) -> tuple[Tensor, Tensor]:
    """Compute the log-probabilities of whole answers under the model and under its reference, both (2, B) in nats.

    Row 0 holds the chosen answers and row 1 the rejected ones; one forward pass computes both. The reference is
    computed first, without gradients and dropout, so it draws no random numbers and adds nothing to the graph.

    Args:
        model: A causal language model with an adapter.
        batch: Prompts and answers, as the module describes.
        pad: The id of the padding token.
    """
    pairs = _stack_pairs(batch)
    with torch.no_grad(), _disable_adapter(model):
        reference_2B = _score_answers(model, pairs, pad)
    return _score_answers(model, pairs, pad), reference_2B


def _score_answers(model: nn.Module, pairs: Mapping[str, Tensor], pad: int) -> Tensor:
    return -sum_nats(*compute_supervised_logits(model, pairs, pad=pad)).view(2, -1)


def _stack_pairs(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Repeat the prompts: 2 B examples, B with the chosen answers followed by B with the rejected answers."""
    chosen_BT, rejected_BT = batch["targets"], batch["rejected"]
    longest = max(chosen_BT.shape[1], rejected_BT.shape[1])
    padded = [
        functional.pad(ids, (0, longest - ids.shape[1]), value=IGNORED) for ids in (chosen_BT, rejected_BT)
    ]
    ids_BL = batch["input_ids"].repeat(2, 1)
    return {
        "input_ids": ids_BL,
        "attention_mask": batch["attention_mask"].repeat(2, 1),
        "labels": torch.full_like(ids_BL, IGNORED),  # answers earlier in the conversation are not scored
        "targets": torch.cat(padded),
    }


@contextmanager
def _disable_adapter(model: nn.Module) -> Iterator[None]:
    """Run the block with the model as it was before its adapter, in evaluation mode."""
    training = model.training
    with unwrap_to_adapter(model).disable_adapter():
        model.eval()
        try:
            yield
        finally:
            model.train(training)
