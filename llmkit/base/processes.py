"""Read the rank of this process and the number of processes from the environment.

Launchers such as torchrun set the variables RANK and WORLD_SIZE. Reading them needs no torch, so commands can use them
before torch is loaded.
"""

from __future__ import annotations

import os

__all__ = ["get_rank", "get_world_size", "is_main"]


def get_rank() -> int:
    """Return the rank of this process; 0 if it is the only one."""
    return _read_number("RANK", 0)


def get_world_size() -> int:
    """Return the number of processes in the group."""
    return _read_number("WORLD_SIZE", 1)


def is_main() -> bool:
    """Return whether this process has rank 0. Only that process prints and writes files."""
    return get_rank() == 0


def _read_number(name: str, default: int) -> int:
    """Return the value of a variable, or the default if it is not a number: then no launcher has set it."""
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else default
