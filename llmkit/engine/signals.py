"""Ctrl-C, SIGTERM and SIGUSR1 ask the run to stop after this update; the second one stops it at once.

SLURM warns of the end of a job by SIGUSR1 (--signal), Kubernetes and spot machines by SIGTERM.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

__all__ = ["STOP_SIGNALS", "StopRequest", "catch_stop_signals"]

STOP_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
]  # Windows lacks one


@dataclass
class StopRequest:
    """The signal that came, if any."""

    number: int | None = None


@contextmanager
def catch_stop_signals() -> Iterator[StopRequest]:
    """Within this block these signals only set the request."""
    request = StopRequest()

    def hear(number: int, _frame: FrameType | None) -> None:
        if request.number is not None:
            raise KeyboardInterrupt
        request.number = number

    before = {number: signal.signal(number, hear) for number in STOP_SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
