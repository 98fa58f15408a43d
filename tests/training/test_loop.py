"""Training: as long as asked, validated and saved when asked, the best weights kept, resumable."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from llmkit.base.errors import Interrupted, RunError, Stopped, StorageError
from llmkit.engine import checkpoint, signals
from llmkit.engine.session import Session
from llmkit.engine.train import Batches
from llmkit.metrics.tasks.classification import METRICS
from llmkit.recipe import schema
from llmkit.tasks.classification import Classification
from llmkit.training import loop

Train = Callable[..., Any]
EIGHT = ("train.epochs=null", "train.max_steps=8")
EVERY_TWO = (*EIGHT, "evaluate.every_steps=2", "checkpoint.every_steps=1")


def checkpoints(run: Any) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in run.checkpoints.iterdir())


def assert_weights_of(training: Any, step: int) -> None:
    """The model holds what the checkpoint of this step holds, which differs from the last one's."""
    saved = load_file(training.run.checkpoints / f"step-{step:08d}" / "weights.safetensors")
    now = training.fitted.model.state_dict()
    assert saved
    assert all(torch.equal(value, now[name]) for name, value in saved.items())


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let validation see these values, one mapping an evaluation."""

    def script(**columns: list[float]) -> None:
        rows = iter([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])
        other = dict.fromkeys(["loss", *METRICS], 0.0)
        monkeypatch.setattr(Classification, "values", lambda *_: {**other, **next(rows)})

    return script


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Let a signal arrive in the middle of the nth step."""

    def arrange(step: int, number: int) -> None:
        @contextmanager
        def listening() -> Iterator[Any]:
            asked = iter([None] * (step - 1))

            class Request:
                @property
                def number(self) -> int | None:
                    return next(asked, number)

            yield Request()

        monkeypatch.setattr(signals, "catch_stop_signals", listening)

    return arrange


def test_every_step_is_logged_and_the_counts_add_up(train: Train) -> None:
    done = train("train.epochs=1")
    steps = done.log("step")
    assert [line["step"] for line in steps] == list(range(1, 17))
    assert sum(line["examples"] for line in steps) == done.fitted.state.examples == 128
    tokens = int(done.prepared.encoded["train"].lengths.sum())
    assert sum(line["tokens"] for line in steps) == done.fitted.state.tokens == tokens
    rates = [line["learning_rate"] for line in steps]
    assert rates == [done.prepared.schedule.learning_rate(step) for step in range(1, 17)]
    assert [line["step"] for line in done.log("evaluation")] == [16]


def test_max_steps_and_intervals_are_honoured(train: Train) -> None:
    done = train(*EIGHT, "evaluate.every_steps=3", "checkpoint.every_steps=4", "checkpoint.keep=8")
    assert len(done.log("step")) == 8
    assert [line["step"] for line in done.log("evaluation")] == [3, 6, 8]  # the last step always
    assert set(checkpoints(done.run)) >= {4, 8}
    assert set(checkpoints(done.run)) <= {3, 4, 6, 8}  # and each new best


def test_old_checkpoints_go_but_the_best_stays(train: Train, scripted: Callable[..., None]) -> None:
    scripted(accuracy=[0.9, 0.1, 0.1, 0.1])
    done = train(*EVERY_TWO, "checkpoint.keep=2")
    assert checkpoints(done.run) == [2, 7, 8]


def test_validation_values_are_those_of_the_weights_at_that_step(train: Train) -> None:
    done = train(*EVERY_TWO, "checkpoint.keep=8")
    line = done.log("evaluation")[1]
    prepared = done.prepared
    model = done.fitted.model.eval()
    checkpoint.load(done.run.checkpoints / "step-00000004", model, None)
    part = prepared.examples.corpus.splits["validation"]
    with torch.no_grad():
        logits = torch.cat(
            [
                model(**prepared.tokenizer(text, return_tensors="pt", return_token_type_ids=False)).logits
                for text in part.column("text")
            ]
        )
    golds = torch.from_numpy(prepared.examples.golds["validation"]["labels"])
    assert line["step"] == 4
    assert line["loss"] == pytest.approx(torch.nn.functional.cross_entropy(logits, golds).item(), rel=1e-5)
    assert line["accuracy"] == (logits.argmax(-1) == golds).float().mean().item()


@pytest.mark.parametrize(
    ("best", "step"),
    [("loss", 4), ("accuracy", 6), ("f1", 2)],  # lowest loss, highest others; the first of equals
)
def test_the_best_weights_are_put_back(
    train: Train, scripted: Callable[..., None], best: str, step: int
) -> None:
    scripted(loss=[0.5, 0.3, 0.4, 0.6], accuracy=[0.1, 0.2, 0.9, 0.9], f1=[0.5, 0.5, 0.5, 0.5])
    done = train(*EVERY_TWO, f"evaluate.best={best}")
    assert done.fitted.state.best_step == step
    assert done.fitted.state.step == 8
    assert_weights_of(done, step)
    with pytest.raises(AssertionError):
        assert_weights_of(done, 8)


def test_the_answers_kept_are_those_of_the_best_weights(train: Train, scripted: Callable[..., None]) -> None:
    scripted(accuracy=[0.1, 0.9, 0.2, 0.3])
    done = train(*EVERY_TWO)
    assert done.fitted.state.best_step == 4
    prepared, model = done.prepared, done.fitted.model.eval()
    text = prepared.examples.corpus.splits["validation"].column("text")[3]
    with torch.no_grad():
        read = prepared.tokenizer(text, return_tensors="pt", return_token_type_ids=False)
        told = model(**read).logits.softmax(-1)[0]
    assert done.fitted.answers["probabilities"][3] == pytest.approx(told.numpy(), abs=1e-6)


def test_early_stopping_waits_as_long_as_asked(train: Train, scripted: Callable[..., None]) -> None:
    scripted(accuracy=[0.1, 0.5, 0.4, 0.6, 0.6, 0.5, 0.9])
    done = train(
        "train.epochs=null",
        "train.max_steps=14",
        "evaluate.every_steps=2",
        "checkpoint.every_steps=1",
        "train.early_stopping=2",
    )
    assert len(done.log("step")) == 12
    assert done.fitted.state.best_step == 8
    assert_weights_of(done, 8)
    assert "stopped early at step 12: no better accuracy since 8" in done.notes


def test_without_validation_the_last_weights_are_kept(train: Train) -> None:
    done = train(*EIGHT, "data.validation_share=0")
    assert done.log("evaluation") == []
    assert done.fitted.state.best_step == 8
    assert_weights_of(done, 8)


def recomputes(model: torch.nn.Module) -> bool:
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())


def test_gradient_checkpointing_changes_no_loss(train: Train, undropped: Path, tmp_path: Path) -> None:
    """Without dropout: its random numbers fall on other places where padding is computed."""
    model = f"model.name={undropped}"
    plain = train(*EIGHT, model, folder=tmp_path / "a")
    saving = train(*EIGHT, model, "train.gradient_checkpointing=true", folder=tmp_path / "b")
    assert plain.log("step")[0]["padded_tokens"] < saving.log("step")[0]["padded_tokens"]
    assert recomputes(saving.fitted.model)
    assert not recomputes(plain.fitted.model)
    assert saving.losses() == pytest.approx(plain.losses(), rel=1e-5)


def test_the_cut_into_micro_batches_changes_no_loss(train: Train, undropped: Path, tmp_path: Path) -> None:
    """Without dropout, whose random numbers fall on other places when the cut differs."""
    model = f"model.name={undropped}"
    small = train(*EIGHT, model, "train.micro_batch_tokens=24", folder=tmp_path / "a")
    large = train(*EIGHT, model, "train.micro_batch_tokens=9999", folder=tmp_path / "b")
    assert small.losses() != large.losses()  # the setting was honoured: another cut rounds otherwise
    assert small.losses() == pytest.approx(large.losses(), rel=1e-4)
    assert small.losses()[0] == pytest.approx(large.losses()[0], rel=1e-6)


@pytest.mark.parametrize(
    "override",
    [
        "task.label_smoothing=0.3",
        "task.class_weights=balanced",
        "train.batch_size=16",
        "seed=2",
    ],
)
def test_settings_of_the_loss_and_the_batch_reach_the_first_step(
    train: Train, tmp_path: Path, override: str
) -> None:
    one = ("train.epochs=null", "train.max_steps=1", "data.validation_share=0")
    plain = train(*one, folder=tmp_path / "a").losses()[0]
    changed = train(*one, override, folder=tmp_path / "b").losses()[0]
    assert changed != pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize(
    ("override", "same_steps"),
    [
        ("train.learning_rate=1e-3", 1),
        ("train.weight_decay=10", 1),
        ("train.max_grad_norm=0.01", 1),
        ("train.schedule=constant", 8),  # differs once the warm-up is over
        ("train.warmup_ratio=0.5", 1),
    ],
)
def test_settings_of_the_optimizer_show_after_the_first_step(
    train: Train, tmp_path: Path, override: str, same_steps: int
) -> None:
    settings = ("train.epochs=null", "train.max_steps=10", "data.validation_share=0")
    plain = train(*settings, folder=tmp_path / "a").losses()
    changed = train(*settings, override, folder=tmp_path / "b").losses()
    first = next(i for i, (a, b) in enumerate(zip(plain, changed, strict=True)) if a != b)
    assert 1 <= first <= same_steps


def test_a_stopped_run_goes_on_to_the_same_end(
    train: Train, stop_at: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = (*EIGHT, "evaluate.every_steps=3", "checkpoint.every_steps=50")
    whole = train(*settings, folder=tmp_path / "whole")
    run = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        stop_at(5, signal.SIGTERM)
        with pytest.raises(
            Stopped, match=rf"stopped by a signal at step 5 of 8, saved; .* --out {run} --resume"
        ) as caught:
            train(*settings, folder=run)
        assert not isinstance(caught.value, Interrupted)
        about = json.loads((run / "stopped.json").read_text())
        assert about == {
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
    done = train(*settings, folder=run)
    assert any(note.startswith(f"resumed {run} at step 5 of 8") for note in done.notes)
    assert done.losses() == whole.losses()
    assert done.log("evaluation") == whole.log("evaluation")
    ours, theirs = (loop.fitted.model.state_dict() for fit in (done, whole))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_an_lstm_from_scratch_goes_on_to_the_same_end(
    train: Train,
    stop_at: Callable[[int, int], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tiny_gpt: Path,
) -> None:
    """With dropout, on packed blocks."""
    new = ("model.name=null", f"model.tokenizer={tiny_gpt}", "model.from_scratch.shape=lstm")
    settings = (*EIGHT, *new, "model.from_scratch.hidden=16", "task.name=clm", "evaluate.best=loss")
    whole = train(*settings, folder=tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(5, signal.SIGTERM)
        with pytest.raises(Stopped, match="stopped by a signal at step 5 of 8, saved"):
            train(*settings, folder=tmp_path / "stopped")
        patch.undo()
    monkeypatch.undo()
    done = train(*settings, folder=tmp_path / "stopped")
    assert done.losses() == whole.losses()
    ours, theirs = (loop.fitted.model.state_dict() for fit in (done, whole))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_ctrl_c_has_its_own_exception(train: Train, stop_at: Callable[[int, int], None]) -> None:
    stop_at(2, signal.SIGINT)
    with pytest.raises(Interrupted, match="stopped by Ctrl-C at step 2 of 8, saved"):
        train(*EIGHT)


def test_it_stops_after_the_hours_given(train: Train) -> None:
    with pytest.raises(Stopped, match=r"stopped by train\.max_hours at step 1 of 8, saved"):
        train(*EIGHT, "train.max_hours=1e-9")


def test_a_full_disk_ends_no_run(train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What could not be saved is said; the best model is the best of those that were."""
    settings = (*EIGHT, "evaluate.every_steps=2", "evaluate.best=loss", "train.learning_rate=1e-3")
    whole = train(*settings, folder=tmp_path / "whole")
    save = checkpoint.save

    def full(folder: Path, model: Any, optimizer: Any, state: Any) -> Path:
        if state.step > 4:
            raise StorageError("W01", str(folder), "no space left on the disk", "free some space")
        return save(folder, model, optimizer, state)

    monkeypatch.setattr(checkpoint, "save", full)
    done = train(*settings)
    assert done.losses() == whole.losses()
    said = [note for note in done.notes if "not saved, training goes on: error[W01]" in note]
    assert [note.split()[3] for note in said] == ["6", "8"]
    assert done.fitted.state.best_step == 4 < whole.fitted.state.best_step
    assert done.fitted.answers is None  # those of a later step
    assert_weights_of(done, 4)


def test_a_stop_that_can_not_be_saved_says_so(
    train: Train, stop_at: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Path:
        raise StorageError("W01", "", "no space left on the disk", "free some space")

    monkeypatch.setattr(checkpoint, "save", full)
    stop_at(3, signal.SIGTERM)
    with pytest.raises(StorageError, match="at step 3 of 8, not saved"):
        train(*EIGHT)


def test_memory_that_ran_out_once_stays_in_mind_over_a_resume(
    train: Train,
    stop_at: Callable[[int, int], None],
    monkeypatch: pytest.MonkeyPatch,
    undropped: Path,
    tmp_path: Path,
) -> None:
    """The same cut after a resume, so the same sums to the bit; and nearly those of a run with enough memory."""
    settings = (*EIGHT, f"model.name={undropped}", "train.micro_batch_tokens=64")
    plain = train(*settings, folder=tmp_path / "plain")

    def short_of_memory(self: Any, batch: dict[str, Any]) -> dict[str, Any]:
        if batch["attention_mask"].sum() > 40 and torch.is_grad_enabled():
            raise torch.OutOfMemoryError("made up")
        return batch

    monkeypatch.setattr(Session, "to_device", short_of_memory)
    whole = train(*settings, folder=tmp_path / "whole")
    assert any("out of memory with micro-batches of 64 tokens; going on with 32" in n for n in whole.notes)
    assert whole.losses() == pytest.approx(plain.losses(), rel=1e-4)
    assert [line["micro_batch_tokens"] for line in whole.log("step")][-1] == 32
    with monkeypatch.context() as patch:
        stop_at(4, signal.SIGTERM)
        with pytest.raises(Stopped):
            train(*settings, folder=tmp_path / "stopped")
        patch.undo()
    monkeypatch.undo()
    done = train(*settings, folder=tmp_path / "stopped")
    assert done.losses() == whole.losses()


def test_a_signal_in_the_last_step_changes_nothing(train: Train, stop_at: Callable[[int, int], None]) -> None:
    stop_at(8, signal.SIGTERM)
    assert train(*EIGHT).fitted.state.step == 8


def test_a_run_without_checkpoint_begins_anew(train: Train, tmp_path: Path) -> None:
    (tmp_path / "fit").mkdir()
    (tmp_path / "fit" / "log.jsonl").write_text('{"kind": "step", "step": 1, "loss": 99}\n')
    done = train(*EIGHT)
    assert [line["step"] for line in done.log("step")] == list(range(1, 9))


def test_other_data_is_not_gone_on_with(
    train: Train, stop_at: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(2, signal.SIGTERM)
    with pytest.raises(Stopped):
        train(*EIGHT)
    with pytest.raises(RunError) as caught:
        train(*EIGHT, "data.test_share=0.2")
    assert "error[M09]" in caught.value.lines()[0]
    assert "its fingerprint differs" in caught.value.lines()[0]


def test_another_number_of_threads_is_said(
    train: Train, stop_at: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(2, signal.SIGTERM)
    with pytest.raises(Stopped):
        train(*EIGHT)
    stop_at(99, signal.SIGTERM)
    monkeypatch.setattr("llmkit.base.environment.threads", lambda: 77)
    notes = train(*EIGHT).notes
    assert any("-> 77: same examples and updates, equal up to rounding" in note for note in notes)


def test_adapters_train_alone(train: Train, tiny_bert: Path) -> None:
    before = load_file(tiny_bert / "model.safetensors")
    done = train(*EIGHT, "model.lora.rank=2")
    now = {
        name.removeprefix("base_model.model.bert.").replace(".base_layer", ""): value
        for name, value in done.fitted.model.state_dict().items()
    }
    common = before.keys() & now.keys()
    assert len(common) > 20
    assert all(torch.equal(before[name], now[name]) for name in common)
    assert any(value.abs().sum() > 0 for name, value in now.items() if "lora_B" in name)
    assert not np.allclose(done.losses()[0], done.losses()[-1])


def test_gradient_checkpointing_reaches_adapters_too(train: Train, undropped: Path, tmp_path: Path) -> None:
    settings = (*EIGHT, f"model.name={undropped}", "model.lora.rank=2")
    plain = train(*settings, folder=tmp_path / "a")
    saving = train(*settings, "train.gradient_checkpointing=true", folder=tmp_path / "b")
    assert recomputes(saving.fitted.model)
    norms = [[line["grad_norm"] for line in done.log("step")] for done in (plain, saving)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-4)
    assert saving.losses() == pytest.approx(plain.losses(), rel=1e-5)


def test_nothing_of_how_it_was_trained_is_in_the_model(train: Train) -> None:
    """Hooks, the attention function and what computes no padding are gone; the steps computed none."""
    done = train(*EIGHT)
    config = done.fitted.model.config
    assert config._attn_implementation == "sdpa" and "llmkit" not in config.to_json_string()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in done.fitted.model.modules())
    assert all(line["padded_tokens"] == line["tokens"] for line in done.log("step"))


@pytest.mark.parametrize(
    ("hidden", "padding", "asked", "budget"),
    [
        (384, False, "auto", 1024),
        (576, False, "auto", 512),
        (576, True, "auto", 1024),
        (576, False, 1024, 1024),
    ],
)
def test_a_wide_model_without_padding_gets_smaller_micro_batches(
    hidden: int, padding: bool, asked: Any, budget: int
) -> None:
    model = SimpleNamespace(config=SimpleNamespace(hidden_size=hidden))
    batches = Batches(np.array([3]), lambda *_: {}, 1024)
    found = loop._cut_for(model, schema.Train(micro_batch_tokens=asked), batches, padding)
    assert (found.padding, found.budget) == (padding, budget)
