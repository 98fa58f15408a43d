"""How much more probable a model finds one answer to a prompt than another, and what it found before its adapter.

    now_2B, before_2B = log_probabilities(model, batch, pad=pad)        # rows: chosen, rejected

A batch has the prompts in `input_ids` and `attention_mask` (B, L), and their answers in `targets` (the chosen ones) and
`rejected`, (B, T) each with its own T. The reference is the same model with its adapter switched off, so there is no
second copy of the weights. Shapes: B pairs, L tokens of a prompt, T tokens of an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from llmkit.engine.generation.generate import IGNORED, sum_nats, unwrap_to_adapter
from llmkit.engine.supervised import compute_supervised_logits

__all__ = ["compute_log_probabilities"]


def compute_log_probabilities(
    model: nn.Module, batch: Mapping[str, Tensor], *, pad: int
) -> tuple[Tensor, Tensor]:
    """(2, B) of the model and (2, B) of its reference: log-probability of each whole answer, in nats below 0.

    The chosen answers are in row 0, the rejected ones in row 1; both are computed in one forward pass. The reference
    comes first, without gradients and without dropout, so it draws no random number and leaves no trace in the graph.
    """
    both = _both(batch)
    with torch.no_grad(), _reference(model):
        before_2B = _of_answers(model, both, pad)
    return _of_answers(model, both, pad), before_2B


def _of_answers(model: nn.Module, both: Mapping[str, Tensor], pad: int) -> Tensor:
    return -sum_nats(*compute_supervised_logits(model, both, pad=pad)).view(2, -1)


def _both(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each prompt twice: 2 B examples, first all with the chosen answer, then all with the rejected one."""
    chosen_BT, rejected_BT = batch["targets"], batch["rejected"]
    longest = max(chosen_BT.shape[1], rejected_BT.shape[1])
    wide = [
        functional.pad(ids, (0, longest - ids.shape[1]), value=IGNORED) for ids in (chosen_BT, rejected_BT)
    ]
    ids_BL = batch["input_ids"].repeat(2, 1)
    return {
        "input_ids": ids_BL,
        "attention_mask": batch["attention_mask"].repeat(2, 1),
        "labels": torch.full_like(ids_BL, IGNORED),  # of earlier answers nothing is asked
        "targets": torch.cat(wide),
    }


@contextmanager
def _reference(model: Any) -> Iterator[None]:
    """Inside, the model is what it was before its adapter, and makes no use of chance."""
    training = model.training
    with unwrap_to_adapter(model).disable_adapter():
        model.eval()
        try:
            yield
        finally:
            model.train(training)
