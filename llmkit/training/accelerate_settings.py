"""Translate accelerate's FSDP settings into recipe keys.

`accelerate launch --use_fsdp --fsdp_version 2 -m llmkit finetune RECIPE` means `train.shard=true`.
"""

from __future__ import annotations

import os

from llmkit.base.errors import RecipeError

__all__ = ["overrides"]

ENABLED = "ACCELERATE_USE_FSDP"
SUPPORTED = {  # FSDP setting -> (the only supported value, the fix for any other)
    "FSDP_VERSION": ("2", "set fsdp_version to 2"),
    "FSDP_OFFLOAD_PARAMS": ("false", "set fsdp_offload_params to false; model.lora saves memory"),
    "FSDP_ACTIVATION_CHECKPOINTING": (
        "false",
        "set fsdp_activation_checkpointing to false, and train.gradient_checkpointing=true",
    ),
}


def overrides() -> list[str]:
    """Return `train.shard=true` where accelerate's configuration enables FSDP2, otherwise no override.

    llmkit shards the model and writes checkpoints in its own way. It therefore removes the setting from the
    environment, where accelerate and transformers would act on it too.

    Raises:
        RecipeError: C10, for an FSDP setting that llmkit does not support.
    """
    if os.environ.get(ENABLED, "false").lower() != "true":
        return []
    for name, (value, fix) in SUPPORTED.items():
        setting = os.environ.get(name, value).lower()
        if setting != value:
            raise RecipeError("C10", name, f"is {setting}, but llmkit supports only {value}", fix)
    del os.environ[ENABLED]
    return ["train.shard=true"]
