"""Report the process that keeps the others waiting, with the line of code it is at.

When one process of a group makes no progress, all of them stop. The others wait in a collective operation; the one that
does not is the one to look at, so only that process reports. It cannot report while C code holds the interpreter lock.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

__all__ = ["watch_progress"]

SECONDS = 600.0  # longer than any step should take
COLLECTIVES = ("torch/distributed/", "accelerate/utils/operations")


@contextmanager
def watch_progress(
    rank: int, seconds: float = SECONDS, report: Callable[[str], None] | None = None
) -> Iterator[Callable[[str], None]]:
    """Yield a function to call at least every `seconds` with what was just done; report when no call comes.

    Args:
        rank: The number of this process.
        seconds: The longest time between two calls.
        report: Called once per standstill with the process, its last progress and its stack; None prints to stderr.
    """
    report = report or partial(print, file=sys.stderr, flush=True)
    watchdog = _Watchdog(rank, seconds, threading.current_thread().ident or 0, report)
    thread = threading.Thread(target=watchdog.run, name="watchdog", daemon=True)
    thread.start()
    try:
        yield watchdog.record
    finally:
        watchdog.finished.set()
        thread.join()


class _Watchdog:
    """The last recorded progress of a thread, and its time."""

    def __init__(self, rank: int, seconds: float, thread: int, report: Callable[[str], None]) -> None:
        self.rank, self.seconds, self.thread, self.report = rank, seconds, thread, report
        self.last, self.recorded_at = "the start", time.monotonic()
        self.finished = threading.Event()

    def record(self, progress: str) -> None:
        self.last, self.recorded_at = progress, time.monotonic()

    def run(self) -> None:
        """Report each standstill once, until `finished` is set."""
        reported = None
        while not self.finished.wait(self.seconds / 10):
            frame = sys._current_frames().get(self.thread)
            is_late = time.monotonic() - self.recorded_at > self.seconds
            if is_late and reported != self.last and frame is not None and not _is_in_collective(frame):
                reported = self.last
                stack = "".join(traceback.format_stack(frame))
                self.report(
                    f"process {self.rank} has made no progress for {self.seconds:.0f} s since {self.last}; "
                    f"it is at\n{stack}"
                )


def _is_in_collective(frame: FrameType | None) -> bool:
    """Return whether a call on the stack waits for the other processes."""
    while frame is not None:
        if any(path in frame.f_code.co_filename for path in COLLECTIVES):
            return True
        frame = frame.f_back
    return False
