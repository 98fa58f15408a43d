"""Stop a run after its current step on Ctrl-C, SIGTERM or SIGUSR1, and at once on a second signal.

SLURM announces the end of a job by SIGUSR1 (--signal), Kubernetes and spot machines by SIGTERM.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

__all__ = ["STOP_SIGNALS", "StopRequest", "catch_stop_signals"]

# Windows has no SIGUSR1.
STOP_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]


@dataclass
class StopRequest:
    """The number of the signal that arrived, or None."""

    number: int | None = None


@contextmanager
def catch_stop_signals() -> Iterator[StopRequest]:
    """Record the first stop signal in the yielded request; raise KeyboardInterrupt at the second one.

    The previous signal handlers are restored at the end of the block.
    """
    request = StopRequest()

    def handle(number: int, _frame: FrameType | None) -> None:
        if request.number is not None:
            raise KeyboardInterrupt
        request.number = number

    previous = {number: signal.signal(number, handle) for number in STOP_SIGNALS}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
