"""Training: as long as asked, validated and saved when asked, the best weights kept, resumable."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from llmkit.base.errors import Interrupted, Stopped
from llmkit.engine.train import Batches
from llmkit.recipe import schema
from llmkit.training import loop
from tests.training.scripts import EIGHT, EVERY_TWO, Train, assert_weights_of, checkpoints


def test_every_step_is_logged_and_the_counts_add_up(train: Train) -> None:
    done = train("train.epochs=1")
    steps = done.log("step")
    assert [line["step"] for line in steps] == list(range(1, 17))
    assert sum(line["examples"] for line in steps) == done.state.examples == 128
    tokens = int(done.prepared.encoded["train"].lengths.sum())
    assert sum(line["tokens"] for line in steps) == done.state.tokens == tokens
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


@pytest.mark.parametrize(
    ("best", "step"),
    [("loss", 4), ("accuracy", 6), ("f1", 2)],  # lowest loss, highest others; the first of equals
)
def test_the_best_weights_are_put_back(
    train: Train, scripted: Callable[..., None], best: str, step: int
) -> None:
    scripted(loss=[0.5, 0.3, 0.4, 0.6], accuracy=[0.1, 0.2, 0.9, 0.9], f1=[0.5, 0.5, 0.5, 0.5])
    done = train(*EVERY_TWO, f"evaluate.best={best}")
    assert done.state.best_step == step
    assert done.state.step == 8
    assert_weights_of(done, step)
    with pytest.raises(AssertionError):
        assert_weights_of(done, 8)


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
    assert done.state.best_step == 8
    assert_weights_of(done, 8)
    assert "stopped early at step 12: accuracy has not improved since step 8" in done.notes


def recomputes(model: torch.nn.Module) -> bool:
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())


def test_gradient_checkpointing_changes_no_loss(train: Train, undropped: Path, tmp_path: Path) -> None:
    """Without dropout: its random numbers fall on other places where padding is computed."""
    model = f"model.name={undropped}"
    plain = train(*EIGHT, model, folder=tmp_path / "a")
    saving = train(*EIGHT, model, "train.gradient_checkpointing=true", folder=tmp_path / "b")
    assert plain.log("step")[0]["padded_tokens"] < saving.log("step")[0]["padded_tokens"]
    assert recomputes(saving.model)
    assert not recomputes(plain.model)
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


def test_ctrl_c_has_its_own_exception(train: Train, stop_at: Callable[[int, int], None]) -> None:
    stop_at(2, signal.SIGINT)
    with pytest.raises(Interrupted, match="stopped by Ctrl-C at step 2 of 8, saved"):
        train(*EIGHT)


def test_it_stops_after_the_hours_given(train: Train) -> None:
    with pytest.raises(Stopped, match=r"stopped by train\.max_hours at step 1 of 8, saved"):
        train(*EIGHT, "train.max_hours=1e-9")


def test_a_signal_in_the_last_step_changes_nothing(train: Train, stop_at: Callable[[int, int], None]) -> None:
    stop_at(8, signal.SIGTERM)
    assert train(*EIGHT).state.step == 8


def test_adapters_train_alone(train: Train, tiny_bert: Path) -> None:
    before = load_file(tiny_bert / "model.safetensors")
    done = train(*EIGHT, "model.lora.rank=2")
    now = {
        name.removeprefix("base_model.model.bert.").replace(".base_layer", ""): value
        for name, value in done.model.state_dict().items()
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
    assert recomputes(saving.model)
    norms = [[line["grad_norm"] for line in done.log("step")] for done in (plain, saving)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-4)
    assert saving.losses() == pytest.approx(plain.losses(), rel=1e-5)


def test_nothing_of_how_it_was_trained_is_in_the_model(train: Train) -> None:
    """Hooks, the attention function and what computes no padding are gone; the steps computed none."""
    done = train(*EIGHT)
    config = done.model.config
    assert config._attn_implementation == "sdpa" and "llmkit" not in config.to_json_string()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in done.model.modules())
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
    settings = schema.Train(micro_batch_tokens=asked)
    assert loop._budget(model, settings, batches, padding) == budget  # type: ignore[arg-type]
