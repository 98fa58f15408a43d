"""Streaming gives the greedy text of `generate`, and sampled text that a seed reproduces."""

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


def generate_greedily(model: Any, ids: list[int], end: int) -> list[int]:
    batch = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
    tokens = generate(model, batch, Search(NEW), end=end, pad=0).tokens_BT[0].tolist()
    return [token for token in tokens if token not in (end, IGNORED)]


@pytest.mark.parametrize("ids", PROMPTS)
def test_temperature_0_equals_greedy_search(model: Any, ids: list[int]) -> None:
    tokens = list(stream_tokens(model, ids, end=3, pad=0, max_new_tokens=NEW))
    assert tokens == generate_greedily(model, ids, end=3)
    assert len(tokens) == NEW
    assert 0 not in tokens


def test_the_stream_stops_at_the_end_token(model: Any) -> None:
    text = list(stream_tokens(model, PROMPTS[0], end=3, pad=0, max_new_tokens=NEW))
    end = text[4]
    assert (
        list(stream_tokens(model, PROMPTS[0], end=end, pad=0, max_new_tokens=NEW)) == text[: text.index(end)]
    )


def test_samples_repeat_with_their_seed(model: Any) -> None:
    def sample(seed: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        return list(
            stream_tokens(
                model, PROMPTS[0], end=3, pad=0, max_new_tokens=NEW, temperature=1.5, generator=generator
            )
        )

    assert sample(1) == sample(1)
    assert sample(1) != sample(2)


def test_inference_mode_does_not_apply_to_the_caller(model: Any) -> None:
    for _ in stream_tokens(model, PROMPTS[0], end=3, pad=0, max_new_tokens=2):
        assert not torch.is_inference_mode_enabled()
