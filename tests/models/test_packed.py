"""Packed blocks give the logits of their segments alone, for every supported model type."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from llmkit.models import (
    lstm,  # noqa: F401  # registers the LSTM with the Auto classes
    packed,
)
from tests.float64 import EXACT, in_float64

SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
MORE: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 8},
    "mistral": {"sliding_window": 4, "num_key_value_heads": 2},
    "qwen2": {"num_key_value_heads": 4},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 4},
}
SEGMENTS = [[3, 4, 5, 6, 7, 8, 9], [10], [11, 12, 13, 14, 15]]
CASES = [(kind, direction) for direction, kinds in packed.SUPPORTED_TYPES.items() for kind in kinds]


def build_model(kind: str, direction: str) -> Any:
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **SIZES, **SPECIAL, **MORE.get(kind, {}))
    auto = transformers.AutoModelForCausalLM if direction == "causal" else transformers.AutoModelForMaskedLM
    return in_float64(auto.from_config(config)).eval()


def pack(pieces: list[list[int]], width: int) -> dict[str, Tensor]:
    ids = [token for piece in pieces for token in piece]
    segments = [number for number, piece in enumerate(pieces, 1) for _ in piece]
    padding = [0] * (width - len(ids))
    return {"input_ids": torch.tensor([ids + padding]), "segments": torch.tensor([segments + padding])}


def logits(model: Any, direction: Any, *blocks: dict[str, Tensor]) -> Tensor:
    batch = {name: torch.cat([block[name] for block in blocks]) for name in blocks[0]}
    with torch.no_grad():
        output: Tensor = model(**packed.build_inputs(batch, direction)).logits
    return output


@pytest.mark.parametrize(("kind", "direction"), CASES)
def test_a_packed_block_gives_the_logits_of_its_segments_alone(kind: str, direction: str) -> None:
    """The batch has another block, and the packed one ends with padding."""
    model = build_model(kind, direction)
    other = pack([[20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34]], 15)
    together = logits(model, direction, pack(SEGMENTS, 15), other)[0, :13]
    with torch.no_grad():
        apart = torch.cat([model(input_ids=torch.tensor([piece])).logits[0] for piece in SEGMENTS])
    assert torch.isfinite(together).all()
    torch.testing.assert_close(together, apart, **EXACT)


@pytest.mark.parametrize(("kind", "direction"), [("llama", "causal"), ("bert", "bidirectional")])
def test_without_segments_the_logits_differ(kind: str, direction: str) -> None:
    """This shows that the comparison above can fail."""
    model = build_model(kind, direction)
    ids = [token for piece in SEGMENTS for token in piece]
    unsegmented = logits(model, direction, pack([ids], len(ids)))[0]
    with torch.no_grad():
        apart = torch.cat([model(input_ids=torch.tensor([piece])).logits[0] for piece in SEGMENTS])
    assert (unsegmented - apart).abs().max() > 1e-3


def test_gradients_of_packed_blocks_are_finite_with_padding() -> None:
    model = build_model("bert", "bidirectional").train()
    batch = pack(SEGMENTS, 20)
    model(**packed.build_inputs(batch, "bidirectional")).logits[:, :13].sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_positions_restart_with_each_segment_and_are_0_at_padding() -> None:
    segments = torch.tensor([[1, 1, 1, 2, 3, 3, 0, 0], [1, 1, 1, 1, 1, 1, 1, 1]])
    assert packed.compute_positions(segments).tolist() == [[0, 1, 2, 0, 0, 1, 0, 0], [0, 1, 2, 3, 4, 5, 6, 7]]
