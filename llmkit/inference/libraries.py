"""Import the large libraries faster by pausing the garbage collector."""

from __future__ import annotations

import gc
import sys

__all__ = ["load"]


def load() -> None:
    """Import torch, transformers and accelerate before the modules that use them.

    Imported objects are never freed. Scanning them takes a fifth of the import time, and half a second in each later
    collection, so they are moved out of the collector's reach (`gc.freeze`). Does nothing where torch is imported
    already, as in a notebook: freezing would also keep the notebook's own garbage.
    """
    if "torch" in sys.modules:
        return
    collecting = gc.isenabled()
    gc.disable()
    try:
        from llmkit.engine import session  # noqa: F401  # torch, accelerate
        from llmkit.models import load  # noqa: F401  # the parts of transformers that are needed

        gc.freeze()
    finally:
        if collecting:
            gc.enable()
