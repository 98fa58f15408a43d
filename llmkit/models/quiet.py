"""transformers without its bars and reports: missing heads and shard counts are not news to a user of llmkit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import transformers

__all__ = ["quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """Within this block transformers prints errors only; its settings come back afterwards."""
    logging: Any = transformers.logging  # untyped
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
