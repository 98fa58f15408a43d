"""accelerate's FSDP2 becomes a recipe key; what can't be honoured is refused."""

from __future__ import annotations

import os

import pytest

from llmkit.base.errors import RecipeError
from llmkit.training import accelerate_settings


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """What `accelerate launch --use_fsdp --fsdp_version 2` sets."""
    settings = {
        "ACCELERATE_USE_FSDP": "true",
        "FSDP_VERSION": "2",
        "FSDP_OFFLOAD_PARAMS": "false",
        "FSDP_ACTIVATION_CHECKPOINTING": "false",
        "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_without_accelerate_nothing_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCELERATE_USE_FSDP", raising=False)
    assert accelerate_settings.overrides() == []


def test_fsdp2_becomes_a_key_and_leaves_the_environment(asked: pytest.MonkeyPatch) -> None:
    assert accelerate_settings.overrides() == ["train.shard=true"]
    assert (
        "ACCELERATE_USE_FSDP" not in os.environ
    )  # transformers would load no weights but on the first process
    assert accelerate_settings.overrides() == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "FSDP_VERSION",
            "1",
            "FSDP_VERSION: is 1, but llmkit supports only 2. Fix: set fsdp_version to 2",
        ),
        ("FSDP_OFFLOAD_PARAMS", "true", "set fsdp_offload_params to false"),
        ("FSDP_ACTIVATION_CHECKPOINTING", "true", "train.gradient_checkpointing=true"),
    ],
)
def test_what_can_not_be_honoured_is_refused(
    asked: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    asked.setenv(name, value)
    with pytest.raises(RecipeError, match=r"error\[C10\]") as caught:
        accelerate_settings.overrides()
    assert message in str(caught.value)
