"""Derive the seed of every random choice from the seed of the recipe and a name.

`derive_seed(1, "order", epoch)` returns the same number on every machine and does not depend on earlier calls. So a
resumed run needs no saved generator state, and no random choice depends on the number of processes or loader workers.
"""

from __future__ import annotations

import hashlib

__all__ = ["derive_seed"]


def derive_seed(seed: int, *names: str | int) -> int:
    """Return a seed in [0, 2**63) for one use of the root seed.

    Args:
        seed: The root seed, from the recipe.
        names: What the derived seed is for, such as `"order"` and the number of the epoch.
    """
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
