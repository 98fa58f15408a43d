"""What accelerate's configuration asks of a training run, as recipe keys.

accelerate launch --use_fsdp --fsdp_version 2 -m llmkit finetune RECIPE     as train.shard=true
"""

from __future__ import annotations

import os

from llmkit.base.errors import RecipeError

__all__ = ["overrides"]

ASKED = "ACCELERATE_USE_FSDP"
NEEDED = {  # setting of FSDP -> (the only value that llmkit can do, what to do instead of another)
    "FSDP_VERSION": ("2", "set fsdp_version to 2"),
    "FSDP_OFFLOAD_PARAMS": ("false", "set fsdp_offload_params to false; model.lora saves memory"),
    "FSDP_ACTIVATION_CHECKPOINTING": (
        "false",
        "set fsdp_activation_checkpointing to false, and train.gradient_checkpointing=true",
    ),
}


def overrides() -> list[str]:
    """`train.shard=true` where accelerate asks for FSDP2. How layers are cut and files written is llmkit's own.

    The wish is taken out of the environment, where accelerate and transformers would act on it themselves. Raises
    RecipeError C10 for a setting that llmkit can't honour.
    """
    if os.environ.get(ASKED, "false").lower() != "true":
        return []
    for name, (value, fix) in NEEDED.items():
        found = os.environ.get(name, value).lower()
        if found != value:
            raise RecipeError("C10", name, f"is {found}, and llmkit does FSDP with {value} only", fix)
    del os.environ[ASKED]
    return ["train.shard=true"]
