"""transformers without its bars and reports: missing heads and shard counts are not news to a user of llmkit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import transformers

__all__ = ["quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """Within this block transformers prints errors only; its settings come back afterwards."""
    verbosity = transformers.logging.get_verbosity()
    bars = transformers.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.logging.enable_progress_bar()
