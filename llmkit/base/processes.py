"""Which of several processes this one is, as torchrun and accelerate tell it, before torch is even loaded."""

from __future__ import annotations

import os

__all__ = ["get_rank", "get_world_size", "is_main"]


def get_rank() -> int:
    """0 for the only or the first process."""
    return _number("RANK", 0)


def get_world_size() -> int:
    """How many processes work together."""
    return _number("WORLD_SIZE", 1)


def is_main() -> bool:
    """Whether this process is the one that talks and writes."""
    return get_rank() == 0


def _number(name: str, default: int) -> int:
    """Launchers set numbers; anything else is somebody else's variable of that name."""
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else default
