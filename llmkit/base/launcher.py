"""One command in several processes on this machine, and one exit code for all of them.

What torchrun does for one machine, but signals reach each process once, exit codes stay what they are (75: saved, start
me again), and the threads are shared out. Over several machines use torchrun or srun: the processes only look at RANK,
WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT.
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

GRACE = 30.0  # seconds that the others have to end once one has failed
FORWARDED = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]

Process = subprocess.Popen[bytes]


def launch(arguments: Sequence[str], count: int, *, grace: float = GRACE) -> int:
    """`llmkit ARGUMENTS` in `count` processes; the exit code of the first that failed (128 + n: by signal n)."""
    command = [sys.executable, "-m", "llmkit", *arguments]
    port = _free_port()
    children = [
        subprocess.Popen(command, env=_environment(rank, count, port), start_new_session=True)
        for rank in range(count)
    ]
    with _forwarding(children):
        try:
            return _wait(children, grace)
        finally:
            for child in children:
                if child.poll() is None:
                    child.kill()
                child.wait()


def _environment(rank: int, count: int, port: int) -> dict[str, str]:
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // count))
    return {
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": threads,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _forwarding(children: Sequence[Process]) -> Iterator[None]:
    """They are in sessions of their own, so that a Ctrl-C of the terminal does not reach them twice."""

    def forward(number: int, _frame: FrameType | None) -> None:
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(children: Sequence[Process], grace: float) -> int:
    """Until all have ended, or one has failed and the others had their time to notice."""
    failed, deadline = 0, float("inf")
    codes = [child.poll() for child in children]
    while None in codes and time.monotonic() < deadline:
        if any(codes) and not failed:
            failed, deadline = next(filter(None, codes)), time.monotonic() + grace
        time.sleep(0.02)
        codes = [child.poll() for child in children]
    code = failed or next(filter(None, codes), 0)
    return code if code >= 0 else 128 - code
