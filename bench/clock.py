"""The clock of a measured process: marks since its start, and the line of JSON that it prints at its end.

clock = Clock()
clock.mark("training")        # training begins
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
    """Measures seconds since the start of the process: real time, and CPU time of all its threads."""

    def __init__(self) -> None:
        self.started = float(os.environ["BENCH_BEGAN"])  # set by process.py, in seconds since the epoch
        self.marks: dict[str, tuple[float, float]] = {}

    def mark(self, name: str) -> None:
        """Record the current time under a name. Later marks of the same name are ignored."""
        self.marks.setdefault(name, (time.time() - self.started, time.process_time()))

    def end(self, **figures: Any) -> None:
        """Print the marks and further figures as one JSON object."""
        print(json.dumps({"marks": self.marks, **figures}), file=sys.stdout, flush=True)
