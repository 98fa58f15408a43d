"""Checkpoints: everything comes back, damage is seen, old ones go and the best one stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from llmkit.engine import checkpoint
from llmkit.engine.checkpoint import State
from llmkit.engine.optim import adamw


def trained(make_model: Any) -> tuple[Any, Any]:
    model = make_model()
    optimizer = adamw(model, 0.1)
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    for _ in range(3):
        model(torch.ones(2, 4)).sum().backward()
        optimizer.step()
    model.seen.fill_(7)
    return model, optimizer


def test_weights_buffers_moments_and_state_come_back(tmp_path: Path, make_model: Any) -> None:
    model, optimizer = trained(make_model)
    state = State(step=3, best_value=0.5, best_step=2, misses=1, log_bytes=99, identity={"data": "x"})
    saved = checkpoint.save(tmp_path, model, optimizer, state)
    other = make_model()
    fresh = adamw(other, 0.1)
    assert checkpoint.load(saved, other, fresh) == state
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    )
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert optimizer.state[mine].keys() == fresh.state[theirs].keys()
        assert all(
            torch.equal(optimizer.state[mine][key], fresh.state[theirs][key]) for key in optimizer.state[mine]
        )


def test_the_next_update_after_loading_is_the_same_to_the_bit(tmp_path: Path, make_model: Any) -> None:
    model, optimizer = trained(make_model)
    saved = checkpoint.save(tmp_path, model, optimizer, State(step=3))
    other = make_model()
    fresh = adamw(other, 0.1)
    checkpoint.load(saved, other, fresh)
    for each, own in ((model, optimizer), (other, fresh)):
        each.eval()
        own.zero_grad()
        for group in own.param_groups:
            group["lr"] = 0.1
        each(torch.ones(2, 4)).sum().backward()
        own.step()
    assert torch.equal(model.layer.weight, other.layer.weight)


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "optimizer.safetensors", "state.json", "manifest.json"]
)
def test_one_flipped_byte_is_found_and_the_one_before_is_taken(
    tmp_path: Path, make_model: Any, name: str
) -> None:
    model, optimizer = trained(make_model)
    older = checkpoint.save(tmp_path, model, optimizer, State(step=1))
    newer = checkpoint.save(tmp_path, model, optimizer, State(step=2))
    content = bytearray((newer / name).read_bytes())
    content[len(content) // 2] ^= 1
    (newer / name).write_bytes(content)
    notes: list[str] = []
    assert checkpoint.newest(tmp_path, notes.append) == older
    assert len(notes) == 1
    assert "step-00000002" in notes[0]


def test_half_written_folders_are_never_chosen(tmp_path: Path, make_model: Any) -> None:
    (tmp_path / "step-00000009").mkdir(parents=True)
    (tmp_path / ".tmp-1-xyz").mkdir()
    assert checkpoint.newest(tmp_path, lambda note: None) is None


def test_rotation_keeps_the_newest_and_the_best(tmp_path: Path, make_model: Any) -> None:
    model, optimizer = trained(make_model)
    for step in range(1, 6):
        checkpoint.save(tmp_path, model, optimizer, State(step=step))
    checkpoint.rotate(tmp_path, keep=2, best_step=2)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "step-00000002",
        "step-00000004",
        "step-00000005",
    ]
