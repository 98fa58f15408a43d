"""Ctrl-C and SIGTERM ask the run to stop after this update; the second one stops it at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

__all__ = ["Request", "listening"]


@dataclass
class Request:
    """The signal that came, if any."""

    number: int | None = None


@contextmanager
def listening() -> Iterator[Request]:
    """Within this block SIGINT and SIGTERM only set the request."""
    request = Request()

    def hear(number: int, _frame: FrameType | None) -> None:
        if request.number is not None:
            raise KeyboardInterrupt
        request.number = number

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
