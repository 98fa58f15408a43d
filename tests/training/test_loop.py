"""The training loop: steps, logging, validation, checkpoints, early stopping and signals."""

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


def test_every_step_is_logged(train: Train) -> None:
    result = train("train.epochs=1")
    steps = result.log("step")
    assert [line["step"] for line in steps] == list(range(1, 17))
    assert sum(line["examples"] for line in steps) == result.state.examples == 128
    tokens = int(result.prepared.encoded["train"].lengths.sum())
    assert sum(line["tokens"] for line in steps) == result.state.tokens == tokens
    rates = [line["learning_rate"] for line in steps]
    assert rates == [result.prepared.schedule.learning_rate(step) for step in range(1, 17)]
    assert [line["step"] for line in result.log("evaluation")] == [16]


def test_max_steps_and_intervals_are_used(train: Train) -> None:
    result = train(*EIGHT, "evaluate.every_steps=3", "checkpoint.every_steps=4", "checkpoint.keep=8")
    assert len(result.log("step")) == 8
    assert [line["step"] for line in result.log("evaluation")] == [3, 6, 8]  # always the last step
    assert set(checkpoints(result.run)) >= {4, 8}
    assert set(checkpoints(result.run)) <= {3, 4, 6, 8}  # and at each new best score


def test_old_checkpoints_are_deleted_except_the_best(
    train: Train, script_scores: Callable[..., None]
) -> None:
    script_scores(accuracy=[0.9, 0.1, 0.1, 0.1])
    result = train(*EVERY_TWO, "checkpoint.keep=2")
    assert checkpoints(result.run) == [2, 7, 8]


@pytest.mark.parametrize(
    ("best", "step"),
    [
        ("loss", 4),
        ("accuracy", 6),
        ("f1", 2),
    ],  # the lowest loss, the highest other score, the first of equal scores
)
def test_best_weights_are_restored(
    train: Train, script_scores: Callable[..., None], best: str, step: int
) -> None:
    script_scores(loss=[0.5, 0.3, 0.4, 0.6], accuracy=[0.1, 0.2, 0.9, 0.9], f1=[0.5, 0.5, 0.5, 0.5])
    result = train(*EVERY_TWO, f"evaluate.best={best}")
    assert result.state.best_step == step
    assert result.state.step == 8
    assert_weights_of(result, step)
    with pytest.raises(AssertionError):
        assert_weights_of(result, 8)


def test_early_stopping_waits_for_its_patience(train: Train, script_scores: Callable[..., None]) -> None:
    script_scores(accuracy=[0.1, 0.5, 0.4, 0.6, 0.6, 0.5, 0.9])
    result = train(
        "train.epochs=null",
        "train.max_steps=14",
        "evaluate.every_steps=2",
        "checkpoint.every_steps=1",
        "train.early_stopping=2",
    )
    assert len(result.log("step")) == 12
    assert result.state.best_step == 8
    assert_weights_of(result, 8)
    assert "stopped early at step 12: accuracy has not improved since step 8" in result.notes


def recomputes(model: torch.nn.Module) -> bool:
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())


def test_gradient_checkpointing_keeps_the_losses(
    train: Train, tiny_bert_without_dropout: Path, tmp_path: Path
) -> None:
    """Without dropout, whose random numbers fall on other positions where padding is computed."""
    model = f"model.name={tiny_bert_without_dropout}"
    plain = train(*EIGHT, model, folder=tmp_path / "a")
    recomputed = train(*EIGHT, model, "train.gradient_checkpointing=true", folder=tmp_path / "b")
    assert plain.log("step")[0]["padded_tokens"] < recomputed.log("step")[0]["padded_tokens"]
    assert recomputes(recomputed.model)
    assert not recomputes(plain.model)
    assert recomputed.losses() == pytest.approx(plain.losses(), rel=1e-5)


def test_micro_batch_size_keeps_the_losses(
    train: Train, tiny_bert_without_dropout: Path, tmp_path: Path
) -> None:
    """Without dropout, whose random numbers fall on other positions in other micro-batches."""
    model = f"model.name={tiny_bert_without_dropout}"
    small = train(*EIGHT, model, "train.micro_batch_tokens=24", folder=tmp_path / "a")
    large = train(*EIGHT, model, "train.micro_batch_tokens=9999", folder=tmp_path / "b")
    assert small.losses() != large.losses()  # other micro-batches round differently
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
def test_loss_and_batch_settings_change_the_first_step(train: Train, tmp_path: Path, override: str) -> None:
    single_step = ("train.epochs=null", "train.max_steps=1", "data.validation_share=0")
    plain = train(*single_step, folder=tmp_path / "a").losses()[0]
    changed = train(*single_step, override, folder=tmp_path / "b").losses()[0]
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
def test_optimizer_settings_change_later_steps(
    train: Train, tmp_path: Path, override: str, same_steps: int
) -> None:
    settings = ("train.epochs=null", "train.max_steps=10", "data.validation_share=0")
    plain = train(*settings, folder=tmp_path / "a").losses()
    changed = train(*settings, override, folder=tmp_path / "b").losses()
    first = next(i for i, (a, b) in enumerate(zip(plain, changed, strict=True)) if a != b)
    assert 1 <= first <= same_steps


def test_ctrl_c_raises_interrupted(train: Train, stop_at: Callable[[int, int], None]) -> None:
    stop_at(2, signal.SIGINT)
    with pytest.raises(Interrupted, match="stopped by Ctrl-C at step 2 of 8, saved"):
        train(*EIGHT)


def test_training_stops_after_max_hours(train: Train) -> None:
    with pytest.raises(Stopped, match=r"stopped by train\.max_hours at step 1 of 8, saved"):
        train(*EIGHT, "train.max_hours=1e-9")


def test_signal_in_the_last_step_is_ignored(train: Train, stop_at: Callable[[int, int], None]) -> None:
    stop_at(8, signal.SIGTERM)
    assert train(*EIGHT).state.step == 8


def test_only_the_adapter_is_trained(train: Train, tiny_bert: Path) -> None:
    before = load_file(tiny_bert / "model.safetensors")
    result = train(*EIGHT, "model.lora.rank=2")
    current = {
        name.removeprefix("base_model.model.bert.").replace(".base_layer", ""): value
        for name, value in result.model.state_dict().items()
    }
    common = before.keys() & current.keys()
    assert len(common) > 20
    assert all(torch.equal(before[name], current[name]) for name in common)
    assert any(value.abs().sum() > 0 for name, value in current.items() if "lora_B" in name)
    assert not np.allclose(result.losses()[0], result.losses()[-1])


def test_gradient_checkpointing_works_with_an_adapter(
    train: Train, tiny_bert_without_dropout: Path, tmp_path: Path
) -> None:
    settings = (*EIGHT, f"model.name={tiny_bert_without_dropout}", "model.lora.rank=2")
    plain = train(*settings, folder=tmp_path / "a")
    recomputed = train(*settings, "train.gradient_checkpointing=true", folder=tmp_path / "b")
    assert recomputes(recomputed.model)
    norms = [[line["grad_norm"] for line in result.log("step")] for result in (plain, recomputed)]
    assert norms[1] == pytest.approx(norms[0], rel=1e-4)
    assert recomputed.losses() == pytest.approx(plain.losses(), rel=1e-5)


def test_trained_model_has_no_traces_of_padding_free_execution(train: Train) -> None:
    """Hooks and replaced attention functions are removed, although the steps ran without padding."""
    result = train(*EIGHT)
    config = result.model.config
    assert config._attn_implementation == "sdpa" and "llmkit" not in config.to_json_string()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in result.model.modules())
    assert all(line["padded_tokens"] == line["tokens"] for line in result.log("step"))


@pytest.mark.parametrize(
    ("hidden", "padding", "setting", "budget"),
    [
        (384, False, "auto", 1024),
        (576, False, "auto", 512),
        (576, True, "auto", 1024),
        (576, False, 1024, 1024),
    ],
)
def test_wide_padding_free_model_gets_smaller_micro_batches(
    hidden: int, padding: bool, setting: Any, budget: int
) -> None:
    training: Any = SimpleNamespace(
        placed=SimpleNamespace(model=SimpleNamespace(config=SimpleNamespace(hidden_size=hidden))),
        state=SimpleNamespace(micro_batch_tokens=0),
        batches=lambda _: Batches(np.array([3]), lambda *_: {}, 1024),
        prepared=SimpleNamespace(recipe=SimpleNamespace(train=schema.Train(micro_batch_tokens=setting))),
    )
    assert loop._training_batches(training, padding).budget == budget
