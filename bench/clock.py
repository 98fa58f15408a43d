"""The clock inside a variant's process: marks since its start, and the one line of JSON that it ends with.

clock = Clock()
clock.mark("training")        # about to train
clock.mark("trained")
clock.end(examples=1600)      # prints {"marks": {"training": [wall, cpu], ...}, "examples": 1600}
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

__all__ = ["Clock"]


class Clock:
    """Seconds since the process was started, by the clock and of the processor (all its threads)."""

    def __init__(self) -> None:
        self.began = float(os.environ["BENCH_BEGAN"])
        self.marks: dict[str, tuple[float, float]] = {}

    def mark(self, name: str) -> None:
        """The first mark of a name stays."""
        self.marks.setdefault(name, (time.time() - self.began, time.process_time()))

    def end(self, **figures: Any) -> None:
        print(json.dumps({"marks": self.marks, **figures}), file=sys.stdout, flush=True)
