"""accelerate's FSDP2 setting becomes a recipe key; unsupported FSDP settings are errors."""

from __future__ import annotations

import os

import pytest

from llmkit.base.errors import RecipeError
from llmkit.training import accelerate_settings


@pytest.fixture
def fsdp_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Set the environment as `accelerate launch --use_fsdp --fsdp_version 2` does."""
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


def test_no_override_without_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCELERATE_USE_FSDP", raising=False)
    assert accelerate_settings.overrides() == []


def test_fsdp2_becomes_a_recipe_key_and_is_removed_from_the_environment(
    fsdp_environment: pytest.MonkeyPatch,
) -> None:
    assert accelerate_settings.overrides() == ["train.shard=true"]
    # Otherwise transformers would load weights on the first process only.
    assert "ACCELERATE_USE_FSDP" not in os.environ
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
def test_unsupported_fsdp_setting_is_an_error(
    fsdp_environment: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    fsdp_environment.setenv(name, value)
    with pytest.raises(RecipeError, match=r"error\[C10\]") as caught:
        accelerate_settings.overrides()
    assert message in str(caught.value)
