"""The name under which transformers' models take and return the cache of a generation."""

from __future__ import annotations

from functools import cache
from typing import Literal

__all__ = ["cache_name"]


@cache
def cache_name() -> Literal["cache", "past_key_values"]:
    """Return `cache` (since transformers 5.24; 5.40 drops the old name) or `past_key_values` (before)."""
    from transformers.modeling_outputs import CausalLMOutputWithPast

    return "cache" if "cache" in CausalLMOutputWithPast.__dataclass_fields__ else "past_key_values"
