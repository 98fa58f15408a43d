"""A stopped or killed run continues to the same result, and storage errors lose nothing that was saved."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from llmkit.base.errors import Interrupted, RunError, Stopped, StorageError
from llmkit.engine import checkpoint
from llmkit.engine.session import Session
from tests.training.scripts import EIGHT, Train, assert_weights_of


def test_stopped_run_resumes_to_the_same_result(
    train: Train, stop_at: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = (*EIGHT, "evaluate.every_steps=3", "checkpoint.every_steps=50")
    uninterrupted = train(*settings, folder=tmp_path / "uninterrupted")
    run = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        stop_at(5, signal.SIGTERM)
        with pytest.raises(
            Stopped, match=rf"stopped by a signal at step 5 of 8, saved; .* --out {run} --resume"
        ) as caught:
            train(*settings, folder=run)
        assert not isinstance(caught.value, Interrupted)
        details = json.loads((run / "stopped.json").read_text())
        assert details == {
            "step": 5,
            "total_steps": 8,
            "why": "a signal",
            "resume": f"llmkit finetune tiny --out {run} --resume",
        }
        assert checkpoint.load_state(run / "checkpoints" / "step-00000005").saved_step == 5
        patch.undo()
    with (run / "log.jsonl").open("a") as log:
        log.write('{"kind": "step", "step": 6, "loss": 99}\n')  # written after the last checkpoint
    monkeypatch.undo()
    result = train(*settings, folder=run)
    assert any(note.startswith(f"resumed {run} at step 5 of 8") for note in result.notes)
    assert result.losses() == uninterrupted.losses()
    assert result.log("evaluation") == uninterrupted.log("evaluation")
    ours, theirs = (fit.model.state_dict() for fit in (result, uninterrupted))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_lstm_from_scratch_resumes_to_the_same_result(
    train: Train,
    stop_at: Callable[[int, int], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tiny_gpt: Path,
) -> None:
    """With dropout, on packed blocks."""
    new = ("model.name=null", f"model.tokenizer={tiny_gpt}", "model.from_scratch.shape=lstm")
    settings = (*EIGHT, *new, "model.from_scratch.hidden=16", "task.name=clm", "evaluate.best=loss")
    uninterrupted = train(*settings, folder=tmp_path / "uninterrupted")
    with monkeypatch.context() as patch:
        stop_at(5, signal.SIGTERM)
        with pytest.raises(Stopped, match="stopped by a signal at step 5 of 8, saved"):
            train(*settings, folder=tmp_path / "stopped")
        patch.undo()
    monkeypatch.undo()
    result = train(*settings, folder=tmp_path / "stopped")
    assert result.losses() == uninterrupted.losses()
    ours, theirs = (fit.model.state_dict() for fit in (result, uninterrupted))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_full_disk_does_not_end_the_run(
    train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A note reports each failed save; the best model is the best saved one."""
    settings = (*EIGHT, "evaluate.every_steps=2", "evaluate.best=loss", "train.learning_rate=1e-3")
    uninterrupted = train(*settings, folder=tmp_path / "uninterrupted")
    save = checkpoint.save

    def full(folder: Path, model: Any, optimizer: Any, state: Any) -> Path:
        if state.step > 4:
            raise StorageError("W01", str(folder), "no space left on the disk", "free some space")
        return save(folder, model, optimizer, state)

    monkeypatch.setattr(checkpoint, "save", full)
    result = train(*settings)
    assert result.losses() == uninterrupted.losses()
    warnings = [
        note
        for note in result.notes
        if note.startswith("Warning: could not save the checkpoint at step") and "error[W01]" in note
    ]
    assert [note.split()[8] for note in warnings] == ["6", "8"]
    assert result.state.best_step == 4 < uninterrupted.state.best_step
    assert result.training.best_predictions is None  # they belonged to a later step
    assert_weights_of(result, 4)


def test_stop_without_a_saved_checkpoint_is_an_error(
    train: Train, stop_at: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Path:
        raise StorageError("W01", "", "no space left on the disk", "free some space")

    monkeypatch.setattr(checkpoint, "save", full)
    stop_at(3, signal.SIGTERM)
    with pytest.raises(StorageError, match="at step 3 of 8, not saved"):
        train(*EIGHT)


def test_reduced_micro_batches_are_kept_by_a_resume(
    train: Train,
    stop_at: Callable[[int, int], None],
    monkeypatch: pytest.MonkeyPatch,
    tiny_bert_without_dropout: Path,
    tmp_path: Path,
) -> None:
    """The micro-batches are the same after a resume, so losses are equal bit for bit.

    They are nearly those of a run with enough memory.
    """
    settings = (*EIGHT, f"model.name={tiny_bert_without_dropout}", "train.micro_batch_tokens=64")
    plain = train(*settings, folder=tmp_path / "plain")

    def short_of_memory(self: Any, batch: dict[str, Any]) -> dict[str, Any]:
        if batch["attention_mask"].sum() > 40 and torch.is_grad_enabled():
            raise torch.OutOfMemoryError("simulated")
        return batch

    monkeypatch.setattr(Session, "to_device", short_of_memory)
    uninterrupted = train(*settings, folder=tmp_path / "uninterrupted")
    assert any(
        "out of memory with micro-batches of 64 tokens; continuing with 32" in n for n in uninterrupted.notes
    )
    assert uninterrupted.losses() == pytest.approx(plain.losses(), rel=1e-4)
    assert [line["micro_batch_tokens"] for line in uninterrupted.log("step")][-1] == 32
    with monkeypatch.context() as patch:
        stop_at(4, signal.SIGTERM)
        with pytest.raises(Stopped):
            train(*settings, folder=tmp_path / "stopped")
        patch.undo()
    monkeypatch.undo()
    result = train(*settings, folder=tmp_path / "stopped")
    assert result.losses() == uninterrupted.losses()


def test_run_without_a_checkpoint_starts_at_step_0(train: Train, tmp_path: Path) -> None:
    (tmp_path / "fit").mkdir()
    (tmp_path / "fit" / "log.jsonl").write_text('{"kind": "step", "step": 1, "loss": 99}\n')
    result = train(*EIGHT)
    assert [line["step"] for line in result.log("step")] == list(range(1, 9))


def test_resume_with_other_data_is_an_error(
    train: Train, stop_at: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(2, signal.SIGTERM)
    with pytest.raises(Stopped):
        train(*EIGHT)
    with pytest.raises(RunError) as caught:
        train(*EIGHT, "data.test_share=0.2")
    assert "error[M09]" in caught.value.lines()[0]
    assert "its fingerprint differs" in caught.value.lines()[0]


def test_resume_with_other_threads_gives_a_note(
    train: Train, stop_at: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(2, signal.SIGTERM)
    with pytest.raises(Stopped):
        train(*EIGHT)
    stop_at(99, signal.SIGTERM)
    monkeypatch.setattr("llmkit.base.environment.count_threads", lambda: 77)
    notes = train(*EIGHT).notes
    assert any("-> 77: same examples and steps, results equal up to rounding" in note for note in notes)
