"""Programs that a model wrote, run where they can do no harm: each in a locked-in process of its own (Linux, x86_64).

    run(Program("def f(x): return x + 1", "assert f(1) == 2"))    # Outcome("passed", "")

What locks it in (`jail.py` says how): a new session without environment, input or output; limits on processor time,
memory, open files; no_new_privs; Landlock, so that it reads the Python library and writes nothing, not even a
temporary file; seccomp, so that it has no sockets, processes, threads or signals; namespaces without a network where
the machine allows them. At the time limit the kernel ends the process. Landlock and seccomp must both work, or
nothing is run: a container may lack them (gVisor has no Landlock).

What a hostile program could still do. The verdict is sound against one that ends early, raises, prints, replaces
builtins or leaves quotes open. But it shares its process with the tests, so one written against this very module can
walk up the stack, or read the nonce from its descriptor, and claim to have passed; and an object that equals
everything passes any `==`. It can see the names and sizes of files (stat is no reading), and burn its processor time.
Whatever gets it through the kernel gets it out.
"""

from __future__ import annotations

import json
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llmkit.base.errors import UserError
from llmkit.base.progress import SILENT, Progress

__all__ = ["LAYERS", "REQUIRED", "Limits", "Outcome", "Program", "run", "run_many"]

Reason = Literal["passed", "failed", "refused", "memory", "timeout", "crashed"]

LAYERS = ("namespaces", "landlock", "seccomp")
REQUIRED = ("landlock", "seccomp")
JAIL = Path(__file__).with_name("isolation.py")
# -s -S -P: no site-packages, nothing of the current folder. Not -I, which would leave the order of sets to chance.
PYTHON = (sys.executable, "-s", "-S", "-P", "-B")
ENVIRONMENT = {"PYTHONHASHSEED": "0"}
PATIENCE = 3
REPLY_BYTES = 1 << 16  # more than any true reply; the rest is not read
REASONS: dict[str, Reason] = {"PermissionError": "refused", "MemoryError": "memory"}


@dataclass(frozen=True)
class Program:
    """What a model wrote, and statements that must run through after it; they see its names."""

    code: str
    tests: str


@dataclass(frozen=True)
class Limits:
    """Whole seconds of processor time, the start of Python (0.05) included, and bytes of address space (Python: 20 MB).

    Processor time, so that the verdict does not hang on what else the machine does. A program that waits uses none:
    PATIENCE times as many seconds on the clock, and it is killed if it is found waiting.
    """

    seconds: int = 10
    memory_bytes: int = 256 << 20


@dataclass(frozen=True)
class Outcome:
    """refused: it ended with PermissionError, as it does when a layer says no. detail is the program's own word."""

    reason: Reason
    detail: str

    @property
    def passed(self) -> bool:
        return self.reason == "passed"


def run_many(
    programs: Iterable[Program],
    limits: Limits = Limits(),
    *,
    workers: int = 1,
    progress: Progress = SILENT,
) -> list[Outcome]:
    """The outcomes, in the order of the programs; so many run side by side."""
    programs, outcomes = list(programs), []
    with ThreadPoolExecutor(workers) as pool:
        for outcome in pool.map(lambda program: run(program, limits), programs):
            outcomes.append(outcome)
            progress.advance("running programs", len(outcomes), len(programs), "programs")
    return outcomes


def run(
    program: Program,
    limits: Limits = Limits(),
    *,
    layers: Iterable[str] = LAYERS,
    required: Iterable[str] = REQUIRED,
) -> Outcome:
    """Whether the program's tests hold. `layers` are put up where they can be, `required` ones or nothing is run.

    UserError X01 where a required layer can't be put up: whoever accepts a weaker sandbox asks for it.
    """
    if sys.platform != "linux":
        raise _unavailable("this is not Linux")
    from llmkit.sandbox.isolation import LENGTH, NONCE_BYTES  # a module that other systems can't load

    nonce = secrets.token_bytes(NONCE_BYTES)
    wanted, needed = set(layers), set(required)
    asked = [
        name for name in LAYERS if name in wanted | needed
    ]  # in their order: seccomp refuses what others need
    job = {**vars(limits), **vars(program), "layers": asked, "required": sorted(needed)}
    encoded = json.dumps(job).encode()
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = _start(theirs)
        with _watched(process, PATIENCE * limits.seconds):
            reply = _converse(ours, LENGTH.pack(len(encoded)) + encoded + nonce)
            process.wait()
    missing, started, verdict = reply.partition(b"\n")
    if not started:
        raise _unavailable("the process meant for them does not start")
    if lacking := set(missing.decode().split()) & needed:
        raise _unavailable(f"the kernel gives no {' and no '.join(sorted(lacking))}")
    return _outcome(verdict, nonce, process.returncode)


def _unavailable(why: str) -> UserError:
    message = f"programs of a model are not run here: {why}"
    return UserError("X01", "", message, "use Linux 5.13 or later on x86_64, outside of gVisor")


def _start(channel: socket.socket) -> subprocess.Popen[bytes]:
    nothing = subprocess.DEVNULL
    return subprocess.Popen(
        [*PYTHON, str(JAIL), str(channel.fileno())],
        stdin=nothing,
        stdout=nothing,
        stderr=nothing,
        pass_fds=[channel.fileno()],
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )


@contextmanager
def _watched(process: subprocess.Popen[bytes], seconds: float) -> Iterator[None]:
    """Every so many seconds look whether the process works or waits; kill it if it waits, and in the end anyway."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(seconds):
            if not _is_busy(process.pid):
                process.kill()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        process.kill()  # its session holds no other process: it can't start one
        process.wait()


def _is_busy(pid: int) -> bool:
    """Whether it runs, could run if a processor were free, or waits for the disk."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state in ("R", "D")


def _converse(channel: socket.socket, message: bytes) -> bytes:
    """Send the message; what comes until the other side closes, at most REPLY_BYTES."""
    reply = bytearray()
    with suppress(ConnectionError):  # it ended without reading the nonce: what it said has come before that
        channel.sendall(message)
        while len(reply) < REPLY_BYTES and (piece := channel.recv(REPLY_BYTES - len(reply))):
            reply += piece
    return bytes(reply)


def _outcome(verdict: bytes, nonce: bytes, returncode: int) -> Outcome:
    if returncode in (-signal.SIGXCPU, -signal.SIGKILL):  # by the kernel or by us; rarely for want of memory
        return Outcome("timeout", "no end within the time limit")
    if returncode < 0:
        return Outcome("crashed", f"ended by {signal.Signals(-returncode).name}")
    if secrets.compare_digest(verdict, nonce):
        return Outcome("passed", "")
    detail = verdict.decode("utf-8", "replace") or f"ended with exit code {returncode} before its tests did"
    return Outcome(REASONS.get(detail.partition(":")[0], "failed"), detail)
