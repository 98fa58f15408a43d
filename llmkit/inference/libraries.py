"""The large libraries, imported in one go without the garbage collector, which would find nothing to free in them."""

from __future__ import annotations

import gc
import sys

__all__ = ["load"]


def load() -> None:
    """Import what every run needs of torch, transformers and accelerate, before the modules that use them.

    All that an import makes stays. To look through it during the import takes a fifth of its time, and half a second
    more whenever it is done afterwards, so it is kept out of the collector's sight (`gc.freeze`). Where torch is there
    already, as in a notebook, nothing is done: what else lives there may have to be freed.
    """
    if "torch" in sys.modules:
        return
    collecting = gc.isenabled()
    gc.disable()
    try:
        from llmkit.engine import session  # noqa: F401  # torch, accelerate
        from llmkit.models import load  # noqa: F401  # transformers, part by part

        gc.freeze()
    finally:
        if collecting:
            gc.enable()
