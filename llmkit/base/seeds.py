"""Randomness as a function: every random choice has a seed that follows from the recipe's seed and a name.

`derive_seed(1, "order", epoch)` is the same number on any machine, whatever ran before, so a resumed run needs no saved
generator state and no choice depends on how many processes or loader workers there are.
"""

from __future__ import annotations

import hashlib

__all__ = ["derive_seed"]


def derive_seed(seed: int, *names: str | int) -> int:
    """A seed in [0, 2**63) for this use of the root seed."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
