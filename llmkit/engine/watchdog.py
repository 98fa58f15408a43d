"""Who keeps the others waiting: a process that makes no progress says so itself, with the line that it is at.

In a group of processes all of them stand still when one does. Those that wait stand in a collective; the one that
does not is the one to look at, so only it speaks. It can't speak while C code holds the interpreter's lock.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["watch_progress"]

SECONDS = 600.0  # longer than any update should take
WAITING = ("torch/distributed/", "accelerate/utils/operations")


@contextmanager
def watch_progress(
    rank: int, seconds: float = SECONDS, say: Callable[[str], None] | None = None
) -> Iterator[Callable[[str], None]]:
    """Within this block the function given must be called at least every `seconds`, with what was just done.

    say gets the lines; None: stderr.
    """
    watch = _Watch(rank, seconds, threading.current_thread().ident or 0, say or _to_stderr)
    thread = threading.Thread(target=watch.run, name="watchdog", daemon=True)
    thread.start()
    try:
        yield watch.beat
    finally:
        watch.done.set()
        thread.join()


class _Watch:
    """The thread's state: what was done last, and when."""

    def __init__(self, rank: int, seconds: float, thread: int, say: Callable[[str], None]) -> None:
        self.rank, self.seconds, self.thread, self.say = rank, seconds, thread, say
        self.last, self.when = "the start", time.monotonic()
        self.done = threading.Event()

    def beat(self, last: str) -> None:
        self.last, self.when = last, time.monotonic()

    def run(self) -> None:
        """Once for each time that it stands still."""
        told = None
        while not self.done.wait(self.seconds / 10):
            frame = sys._current_frames().get(self.thread)
            still = time.monotonic() - self.when > self.seconds
            if still and told != self.last and frame is not None and not _waits(frame):
                told = self.last
                self.say(self._sentence(frame))

    def _sentence(self, frame: FrameType) -> str:
        stack = "".join(traceback.format_stack(frame))
        return f"process {self.rank} has done nothing for {self.seconds:.0f} s since {self.last}; it is at\n{stack}"


def _waits(frame: FrameType | None) -> bool:
    """Whether the innermost call is one that waits for the other processes."""
    while frame is not None:
        if any(part in frame.f_code.co_filename for part in WAITING):
            return True
        frame = frame.f_back
    return False


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201
