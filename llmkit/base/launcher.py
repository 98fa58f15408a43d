"""Start one command in several processes on this machine and return one exit code.

This is what torchrun does on one machine, with three differences: every process receives a signal exactly once, exit
codes are kept (75 means stopped after a save, to be resumed), and the CPU threads are divided among the processes. For
several machines use torchrun or srun: llmkit only reads RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

__all__ = ["launch"]

GRACE = 30.0  # seconds that the other processes have to exit after one has failed
FORWARDED = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]

Process = subprocess.Popen[bytes]


def launch(arguments: Sequence[str], count: int, *, grace: float = GRACE) -> int:
    """Run `llmkit ARGUMENTS` in `count` processes and wait for them.

    Args:
        arguments: Arguments of the llmkit command.
        count: Number of processes.
        grace: Seconds that the other processes have to exit after one has failed. Then they are killed.

    Returns:
        0, or the exit code of the process that failed first; 128 + n if signal n ended that process.
    """
    command = [sys.executable, "-m", "llmkit", *arguments]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // count))
    shared = {
        **os.environ,
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": threads,
    }
    # Each process gets its own session, so that a Ctrl-C in the terminal reaches it only through the launcher.
    children = [
        subprocess.Popen(
            command, env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}, start_new_session=True
        )
        for rank in range(count)
    ]
    with _forward_signals(children):
        try:
            return _wait(children, grace)
        finally:
            for child in children:
                if child.poll() is None:
                    child.kill()
                child.wait()


@contextmanager
def _forward_signals(children: Sequence[Process]) -> Iterator[None]:
    """Send SIGINT, SIGTERM and SIGUSR1 on to the running children instead of handling them here."""

    def forward(number: int, _frame: FrameType | None) -> None:
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    previous = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _wait(children: Sequence[Process], grace: float) -> int:
    """Wait until all children have exited, or one has failed and the grace period is over; return the exit code."""
    failed, deadline = 0, float("inf")
    codes = [child.poll() for child in children]
    while None in codes and time.monotonic() < deadline:
        if any(codes) and not failed:
            failed, deadline = next(filter(None, codes)), time.monotonic() + grace
        time.sleep(0.02)
        codes = [child.poll() for child in children]
    code = failed or next(filter(None, codes), 0)
    return code if code >= 0 else 128 - code
