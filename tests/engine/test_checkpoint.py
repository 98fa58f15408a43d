"""Checkpoints restore all state; damage is detected; rotation deletes old ones and keeps the best."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from llmkit.base import files
from llmkit.base.errors import StorageError
from llmkit.engine import checkpoint
from llmkit.engine.checkpoint import State
from llmkit.engine.optim import build_adamw
from tests.faults import KINDS, Fault, arm


def train_model(make_model: Any) -> tuple[Any, Any]:
    model = make_model()
    optimizer = build_adamw(model, 0.1)
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    for _ in range(3):
        model(torch.ones(2, 4, dtype=torch.float64)).sum().backward()
        optimizer.step()
    model.seen.fill_(7)
    return model, optimizer


def test_weights_buffers_moments_and_state_are_restored(tmp_path: Path, make_model: Any) -> None:
    model, optimizer = train_model(make_model)
    state = State(step=3, best_value=0.5, best_step=2, misses=1, log_bytes=99, identity={"data": "x"})
    saved = checkpoint.save(tmp_path, model, optimizer, state)
    other = make_model()
    fresh = build_adamw(other, 0.1)
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


def test_the_next_step_after_loading_is_bit_identical(tmp_path: Path, make_model: Any) -> None:
    model, optimizer = train_model(make_model)
    saved = checkpoint.save(tmp_path, model, optimizer, State(step=3))
    other = make_model()
    fresh = build_adamw(other, 0.1)
    checkpoint.load(saved, other, fresh)
    for each, own in ((model, optimizer), (other, fresh)):
        each.eval()
        own.zero_grad()
        for group in own.param_groups:
            group["lr"] = 0.1
        each(torch.ones(2, 4, dtype=torch.float64)).sum().backward()
        own.step()
    assert torch.equal(model.layer.weight, other.layer.weight)


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "optimizer.safetensors", "state.json", "manifest.json"]
)
def test_a_checkpoint_with_a_flipped_byte_is_skipped_for_the_one_before(
    tmp_path: Path, make_model: Any, name: str
) -> None:
    model, optimizer = train_model(make_model)
    older = checkpoint.save(tmp_path, model, optimizer, State(step=1))
    newer = checkpoint.save(tmp_path, model, optimizer, State(step=2))
    content = bytearray((newer / name).read_bytes())
    content[len(content) // 2] ^= 1
    (newer / name).write_bytes(content)
    notes: list[str] = []
    assert checkpoint.find_newest(tmp_path, notes.append) == older
    assert len(notes) == 1
    assert notes[0].startswith("skipped the damaged checkpoint step-00000002: ")


def test_incomplete_folders_are_never_chosen(tmp_path: Path, make_model: Any) -> None:
    (tmp_path / "step-00000009").mkdir(parents=True)
    (tmp_path / ".tmp-1-xyz").mkdir()
    assert checkpoint.find_newest(tmp_path, lambda note: None) is None


def test_rotation_keeps_the_newest_and_the_best_checkpoint(tmp_path: Path, make_model: Any) -> None:
    model, optimizer = train_model(make_model)
    for step in range(1, 6):
        checkpoint.save(tmp_path, model, optimizer, State(step=step))
    checkpoint.rotate(tmp_path, keep=2, best_step=2)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "step-00000002",
        "step-00000004",
        "step-00000005",
    ]


def test_rotation_keeps_a_pinned_checkpoint(tmp_path: Path, make_model: Any) -> None:
    model, optimizer = train_model(make_model)
    saved = [checkpoint.save(tmp_path, model, optimizer, State(step=step)) for step in range(1, 6)]
    (saved[0] / "pinned").touch()
    checkpoint.rotate(tmp_path, keep=2, best_step=None)
    assert [path.name[-1] for path in sorted(tmp_path.iterdir())] == ["1", "4", "5"]


def test_too_little_disk_space_is_reported_before_anything_is_written(
    tmp_path: Path, make_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, optimizer = train_model(make_model)
    monkeypatch.setattr(files, "_count_free_bytes", lambda _: 100)
    with pytest.raises(StorageError, match=r"W01.*\d+ bytes needed, 100 bytes free"):
        checkpoint.save(tmp_path, model, optimizer, State(step=1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_at_any_system_call_of_a_save_leaves_a_valid_checkpoint(
    tmp_path: Path, make_model: Any, kind: str
) -> None:
    """The old or the new checkpoint verifies, leftovers are swept, and the next save succeeds."""
    model, optimizer = train_model(make_model)
    for number in range(1, 200):
        folder = tmp_path / str(number)
        checkpoint.save(folder, model, optimizer, State(step=1))
        fault = _save_with(folder, model, optimizer, kind, number)
        newest = checkpoint.find_newest(folder, lambda _: None)
        assert newest is not None
        assert checkpoint.load_state(newest).step in (1, 2)
        files.remove_leftovers(folder)
        assert all(path.name.startswith("step-") for path in folder.iterdir())
        checkpoint.save(folder, model, optimizer, State(step=2))
        assert checkpoint.find_newest(folder, lambda _: None) == folder / "step-00000002"
        if not fault:
            break
    assert number > 15  # three files written, five flushed, ...


def _save_with(folder: Path, model: Any, optimizer: Any, kind: str, number: int) -> bool:
    """Save step 2 and rotate in a forked process with a fault at the nth call; return whether the fault occurred."""
    process = os.fork()
    if process == 0:
        fault, code = Fault(kind, number), 1
        with pytest.MonkeyPatch.context() as patch:
            arm(patch, fault)
            try:
                checkpoint.save(folder, model, optimizer, State(step=2))
                checkpoint.rotate(folder, keep=1, best_step=None)
                code = 4 if fault.happened else 3
            except StorageError:
                code = 4
            finally:
                os._exit(code)
    _, status = os.waitpid(process, 0)
    if kind == "kill" and os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) in (3, 4), "an error other than StorageError"
    return os.WEXITSTATUS(status) == 4
