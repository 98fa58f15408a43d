"""Find out what the installed version of transformers calls the key-value cache of a model."""

from __future__ import annotations

from functools import cache
from typing import Literal

__all__ = ["get_cache_name"]


@cache
def get_cache_name() -> Literal["cache", "past_key_values"]:
    """Return the name of a model's cache argument and output: `cache` or `past_key_values`.

    transformers 5.24 introduced `cache`; 5.40 removes `past_key_values`.
    """
    from transformers.modeling_outputs import CausalLMOutputWithPast

    return "cache" if "cache" in CausalLMOutputWithPast.__dataclass_fields__ else "past_key_values"
