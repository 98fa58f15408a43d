"""Logits where tokens are to be learned: those of the whole text, whatever stands in front or in the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from llmkit.data.encoding.collate import IGNORED
from llmkit.engine.supervised import compute_supervised_logits

PAD = 0
# (ids read, labels of these, ids that follow)
ROWS = [
    ([2, 7, 8, 9, 3], [IGNORED, IGNORED, 8, 9, IGNORED], [11, 12, 3]),
    ([2, 7], [IGNORED, IGNORED], [13, 3]),
    ([2, 20, 21, 22, 23, 24, 3], [IGNORED] * 4 + [23, 24, 3], [14, 15, 16, 3]),
]


@pytest.fixture(scope="module")
def model(tiny_gpt: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_gpt).eval()


def padded(rows: list[list[int]], filler: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [filler] * (longest - len(row)) for row in rows])


def batch_of(rows: list[Any]) -> dict[str, torch.Tensor]:
    ids, labels, targets = (list(column) for column in zip(*rows, strict=True))
    return {
        "input_ids": padded(ids, PAD),
        "attention_mask": padded([[1] * len(row) for row in ids], 0),
        "labels": padded(labels, IGNORED),
        "targets": padded(targets, IGNORED),
    }


def plainly(model: Any, row: Any) -> list[torch.Tensor]:
    """Log-probabilities of the tokens to learn of one row, from the whole text at once."""
    ids, labels, targets = row
    whole = torch.tensor([ids + targets])
    logits = model(input_ids=whole).logits[0].log_softmax(-1)
    told = labels + targets
    return [logits[place - 1, token] for place, token in enumerate(told) if token != IGNORED]


class _WithoutShortcut(nn.Module):
    """A model whose forward knows no logits_to_keep."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, input_ids: Any, attention_mask: Any, position_ids: Any, use_cache: bool) -> Any:
        return self.inner(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            use_cache=use_cache,
        )


@pytest.mark.parametrize("shortcut", [True, False])
@torch.inference_mode()
def test_each_row_has_the_log_probabilities_of_its_whole_text(model: Any, shortcut: bool) -> None:
    asked = model if shortcut else _WithoutShortcut(model)
    logits_BSV, told_BS = compute_supervised_logits(asked, batch_of(ROWS), pad=PAD)
    found_BSV = logits_BSV.log_softmax(-1)
    for row, told_S, found_SV in zip(ROWS, told_BS, found_BSV, strict=True):
        own = [found_SV[place, token] for place, token in enumerate(told_S.tolist()) if token != IGNORED]
        expected = plainly(model, row)
        assert [t for t in told_S.tolist() if t != IGNORED] == [t for t in row[1] + row[2] if t != IGNORED]
        torch.testing.assert_close(torch.stack(own), torch.stack(expected), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_the_head_is_asked_only_where_there_is_something_to_learn(model: Any) -> None:
    long = ([2] + [7] * 40 + [3], [IGNORED] * 42, [11, 3])
    logits_BSV, told_BS = compute_supervised_logits(model, batch_of([long]), pad=PAD)
    assert logits_BSV.shape[1] == 2
    assert told_BS.tolist() == [[11, 3]]
