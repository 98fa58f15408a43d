"""Run programs that a model generated, each in its own isolated process (Linux, x86_64).

    run_program(Program("def f(x): return x + 1", "assert f(1) == 2"))    # Outcome("passed", "")

The process gets a new session without environment, input or output, limits of CPU time, memory and open files, and
no_new_privs. `isolation.py` adds layers: Landlock, so that it can read the Python library and write no file, not even a
temporary one; seccomp, so that it has no sockets, processes, threads or signals; and namespaces without a network,
where the machine allows them. At the time limit the kernel ends the process. Landlock and seccomp must both work, or no
program is run. Containers may lack them (gVisor has no Landlock).

Limits of the protection: the verdict is reliable for a program that exits early, raises, prints, replaces builtins or
leaves quotes open. But a program shares its process with the tests. One that is written against this very module can
walk up the stack or read the nonce from its descriptor and claim to have passed, and an object that equals everything
passes any `==`. A program can see the names and sizes of files, because stat is not reading, and it can use up its CPU
time. A program that exploits a vulnerability of the kernel can leave the sandbox.
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

__all__ = ["LAYERS", "REQUIRED", "Limits", "Outcome", "Program", "run_program", "run_programs"]

Reason = Literal["passed", "failed", "refused", "memory", "timeout", "crashed"]

LAYERS = ("namespaces", "landlock", "seccomp")  # in the order in which they are applied
REQUIRED = ("landlock", "seccomp")
SCRIPT = Path(__file__).with_name("isolation.py")
# -s -S -P: no site-packages, and nothing from the current folder. Not -I, which would ignore PYTHONHASHSEED.
PYTHON = (sys.executable, "-s", "-S", "-P", "-B")
ENVIRONMENT = {"PYTHONHASHSEED": "0"}  # the order of sets is the same in every run
PATIENCE = 3  # a program that waits is killed after this many times its CPU seconds
REPLY_BYTES = 1 << 16  # longer than any genuine reply; further bytes are not read
REASONS: dict[str, Reason] = {"PermissionError": "refused", "MemoryError": "memory"}


@dataclass(frozen=True)
class Program:
    """A generated program and its tests.

    Attributes:
        code: The program.
        tests: Statements that must run without an error after it; they can use its names.
    """

    code: str
    tests: str


@dataclass(frozen=True)
class Limits:
    """Resource limits of a program.

    CPU time is limited, so that the verdict does not depend on the load of the machine. A program that waits uses none:
    it is killed if it is waiting after PATIENCE times as many seconds of real time.

    Attributes:
        seconds: Whole seconds of CPU time, including the start of Python (0.05 s).
        memory_bytes: Bytes of address space (Python itself: 20 MB).
    """

    seconds: int = 10
    memory_bytes: int = 256 << 20


@dataclass(frozen=True)
class Outcome:
    """What came of a program.

    Attributes:
        reason: `passed`, or why not. `refused` means that it ended with PermissionError, as it does when the sandbox
            forbids an operation.
        detail: The error message of the program, or "".
    """

    reason: Reason
    detail: str

    @property
    def passed(self) -> bool:
        return self.reason == "passed"


def run_programs(
    programs: Iterable[Program],
    limits: Limits = Limits(),
    *,
    workers: int = 1,
    progress: Progress = SILENT,
) -> list[Outcome]:
    """Run programs in isolated processes; return their outcomes in the same order.

    Args:
        programs: The programs.
        limits: Resource limits of each program.
        workers: Number of programs to run at the same time.
        progress: Receives the number of finished programs.

    Raises:
        UserError: X01 if the sandbox is not available.
    """
    programs, outcomes = list(programs), []
    with ThreadPoolExecutor(workers) as pool:
        for outcome in pool.map(lambda program: run_program(program, limits), programs):
            outcomes.append(outcome)
            progress.advance("running programs", len(outcomes), len(programs), "programs")
    return outcomes


def run_program(
    program: Program,
    limits: Limits = Limits(),
    *,
    layers: Iterable[str] = LAYERS,
    required: Iterable[str] = REQUIRED,
) -> Outcome:
    """Run one program and its tests in an isolated process.

    Args:
        program: The program.
        limits: Resource limits.
        layers: Layers to apply if the machine supports them.
        required: Layers without which the program is not run.

    Raises:
        UserError: X01 if a required layer can't be applied.
    """
    if sys.platform != "linux":
        raise _make_unavailable_error("this is not Linux")
    from llmkit.sandbox.isolation import LENGTH, NONCE_BYTES  # can be imported on Linux only

    nonce = secrets.token_bytes(NONCE_BYTES)
    wanted, needed = set(layers), set(required)
    # In the order of LAYERS: seccomp, the last, forbids the system calls that the others need.
    applied = [name for name in LAYERS if name in wanted | needed]
    job = {**vars(limits), **vars(program), "layers": applied, "required": sorted(needed)}
    encoded = json.dumps(job).encode()
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(
                [*PYTHON, str(SCRIPT), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        with _kill_if_waiting(process, PATIENCE * limits.seconds):
            reply = _exchange(ours, LENGTH.pack(len(encoded)) + encoded + nonce)
            process.wait()
    missing, started, verdict = reply.partition(b"\n")
    if not started:
        raise _make_unavailable_error("the sandbox process does not start")
    if lacking := set(missing.decode().split()) & needed:
        raise _make_unavailable_error(f"the kernel does not support {' and '.join(sorted(lacking))}")
    return _make_outcome(verdict, nonce, process.returncode)


def _make_unavailable_error(reason: str) -> UserError:
    message = f"generated programs can't be isolated on this machine: {reason}"
    return UserError("X01", "", message, "use Linux 5.13 or later on x86_64, outside of gVisor")


@contextmanager
def _kill_if_waiting(process: subprocess.Popen[bytes], seconds: float) -> Iterator[None]:
    """During the block, check the process every `seconds` and kill it if it is waiting. Kill it after the block."""
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
        process.kill()  # there is no other process in its session, because it can't start one
        process.wait()


def _is_busy(pid: int) -> bool:
    """Return whether the process is running, ready to run, or waiting for the disk."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state in ("R", "D")


def _exchange(channel: socket.socket, message: bytes) -> bytes:
    """Send the message; return what arrives until the other side closes, at most REPLY_BYTES."""
    reply = bytearray()
    with suppress(
        ConnectionError
    ):  # the process ended without reading the nonce, but after sending its reply
        channel.sendall(message)
        while len(reply) < REPLY_BYTES and (chunk := channel.recv(REPLY_BYTES - len(reply))):
            reply += chunk
    return bytes(reply)


def _make_outcome(verdict: bytes, nonce: bytes, returncode: int) -> Outcome:
    """Interpret what the process sent and how it ended."""
    if returncode in (
        -signal.SIGXCPU,
        -signal.SIGKILL,
    ):  # sent by the kernel or by us; rarely for lack of memory
        return Outcome("timeout", "not finished within the time limit")
    if returncode < 0:
        return Outcome("crashed", f"ended by {signal.Signals(-returncode).name}")
    if secrets.compare_digest(verdict, nonce):
        return Outcome("passed", "")
    detail = verdict.decode("utf-8", "replace") or f"ended with exit code {returncode} before its tests"
    return Outcome(REASONS.get(detail.partition(":")[0], "failed"), detail)
