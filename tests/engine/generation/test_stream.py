"""Token by token: the greedy text of `generate`, and draws that can be repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from llmkit.engine.generation.generate import IGNORED, Search, generate
from llmkit.engine.generation.stream import stream_tokens

PROMPTS = [[2, 7, 8], [2, 30], [2, 5, 6, 7, 8, 9, 10, 11]]
NEW = 12


@pytest.fixture(scope="module")
def model(tiny_gpt: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_gpt).eval()


def greedy(model: Any, ids: list[int], end: int) -> list[int]:
    batch = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
    written = generate(model, batch, Search(NEW), end=end, pad=0).tokens_BT[0].tolist()
    return [token for token in written if token not in (end, IGNORED)]


@pytest.mark.parametrize("ids", PROMPTS)
def test_temperature_0_is_greedy(model: Any, ids: list[int]) -> None:
    found = list(stream_tokens(model, ids, end=3, pad=0, max_new_tokens=NEW))
    assert found == greedy(model, ids, end=3)
    assert len(found) == NEW
    assert 0 not in found


def test_the_end_token_ends_the_text(model: Any) -> None:
    whole = list(stream_tokens(model, PROMPTS[0], end=3, pad=0, max_new_tokens=NEW))
    end = whole[4]
    assert (
        list(stream_tokens(model, PROMPTS[0], end=end, pad=0, max_new_tokens=NEW))
        == whole[: whole.index(end)]
    )


def test_draws_repeat_with_their_seed(model: Any) -> None:
    def drawn(seed: int) -> list[int]:
        draws = torch.Generator().manual_seed(seed)
        return list(
            stream_tokens(
                model, PROMPTS[0], end=3, pad=0, max_new_tokens=NEW, temperature=1.5, generator=draws
            )
        )

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_nothing_of_inference_mode_reaches_the_caller(model: Any) -> None:
    for _ in stream_tokens(model, PROMPTS[0], end=3, pad=0, max_new_tokens=2):
        assert not torch.is_inference_mode_enabled()
