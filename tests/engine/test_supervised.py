"""Logits at the positions to learn equal those of the whole text, whatever else the batch holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from llmkit.data.encoding.collate import IGNORED
from llmkit.engine.supervised import compute_supervised_logits
from tests.float64 import EXACT, in_float64

PAD = 0
# (input ids, labels of the input, target ids)
ROWS = [
    ([2, 7, 8, 9, 3], [IGNORED, IGNORED, 8, 9, IGNORED], [11, 12, 3]),
    ([2, 7], [IGNORED, IGNORED], [13, 3]),
    ([2, 20, 21, 22, 23, 24, 3], [IGNORED] * 4 + [23, 24, 3], [14, 15, 16, 3]),
]


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def model(request: pytest.FixtureRequest, tiny_gpt: Path) -> Any:
    """Llama's positions are relative; GPT-2 would notice if padding were counted among them."""
    if request.param == "llama":
        return in_float64(AutoModelForCausalLM.from_pretrained(tiny_gpt)).eval()
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=50, n_embd=32, n_layer=2, n_head=4, bos_token_id=2, eos_token_id=3)
    return in_float64(GPT2LMHeadModel(config)).eval()


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


def score_alone(model: Any, row: Any) -> list[torch.Tensor]:
    """Return the log-probabilities of the tokens to learn of one example, from its whole text alone."""
    ids, labels, targets = row
    text = torch.tensor([ids + targets])
    logits = model(input_ids=text).logits[0].log_softmax(-1)
    to_learn = enumerate(labels + targets)
    return [logits[place - 1, token] for place, token in to_learn if token != IGNORED]


class _WithoutLogitsToKeep(nn.Module):
    """A model whose forward has no logits_to_keep parameter."""

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


@pytest.mark.parametrize("keeps", [True, False])
@torch.inference_mode()
def test_log_probabilities_in_a_batch_equal_those_of_each_text_alone(model: Any, keeps: bool) -> None:
    wrapped = model if keeps else _WithoutLogitsToKeep(model)
    logits_BSV, targets_BS = compute_supervised_logits(wrapped, batch_of(ROWS), pad=PAD)
    scores_BSV = logits_BSV.log_softmax(-1)
    for row, targets_S, scores_SV in zip(ROWS, targets_BS, scores_BSV, strict=True):
        own = [scores_SV[place, token] for place, token in enumerate(targets_S.tolist()) if token != IGNORED]
        expected = score_alone(model, row)
        assert [t for t in targets_S.tolist() if t != IGNORED] == [t for t in row[1] + row[2] if t != IGNORED]
        torch.testing.assert_close(torch.stack(own), torch.stack(expected), **EXACT)


@torch.inference_mode()
def test_logits_are_computed_only_at_positions_to_learn(model: Any) -> None:
    long = ([2] + [7] * 40 + [3], [IGNORED] * 42, [11, 3])
    logits_BSV, targets_BS = compute_supervised_logits(model, batch_of([long]), pad=PAD)
    assert logits_BSV.shape[1] == 2
    assert targets_BS.tolist() == [[11, 3]]
