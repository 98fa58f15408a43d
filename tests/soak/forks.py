"""Start runs as forks of this process, which has imported all heavy libraries, so that a run takes only a second.

`start` runs `llmkit ARGUMENTS`, or with several processes `llmkit launch --processes N ARGUMENTS`, whose processes are
forks as well. This process must not compute anything with torch: a fork would wait for threads that it does not have.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import llmkit
from llmkit.base import environment
from llmkit.report import card, page, plots

__all__ = ["Child", "Hook", "import_everything", "start"]

Hook = Callable[[int], None]  # called in each process with its rank, before the command starts

HEAVY = ("accelerate", "datasets", "matplotlib.pyplot", "peft", "sklearn.metrics", "torch", "transformers")
ARCHITECTURES = ("bart", "bert", "gpt2", "llama", "t5")
TIMEOUT = 120.0  # seconds; a run takes only a few


def import_everything() -> None:
    """Import everything that a run needs. Report pages and plots, over half of a small run's time, are disabled."""
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    models = (f"transformers.models.{name}.modeling_{name}" for name in ARCHITECTURES)
    modules = (module.name for module in pkgutil.walk_packages(llmkit.__path__, "llmkit."))
    for name in (*HEAVY, *models, *(name for name in modules if not name.endswith("__main__"))):
        importlib.import_module(name)
    page.render = card.render = lambda template, **values: ""
    plots.draw = lambda content: {}
    environment.read_versions = cache(environment.read_versions)
    environment.read_versions()


class Child:
    """A fork that calls a function and exits with its result. Has the interface of subprocess.Popen."""

    def __init__(self, work: Callable[[], int]) -> None:
        self.returncode: int | None = None
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.setsid()
                code = work()
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, seconds: float = TIMEOUT) -> int:
        """Wait for the exit code. Kills the process and raises TimeoutError if it takes longer."""
        deadline = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"not finished after {seconds:.0f} s")
            time.sleep(0.002)
        return self.returncode if self.returncode is not None else 1

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    arguments: Sequence[str], folder: Path, *, processes: int = 1, hook: Hook = lambda _: None
) -> Child:
    """Start the command. Its output is appended to folder/output.txt; the process id of rank N is in folder/rank-N."""
    if processes == 1:
        return Child(partial(_run_command, arguments, folder, hook, {}))
    return Child(partial(_launch, arguments, folder, hook, processes))


def _launch(arguments: Sequence[str], folder: Path, hook: Hook, processes: int) -> int:
    """Run the real launcher, which starts forks instead of new processes."""
    from llmkit import cli
    from llmkit.base import launcher

    def popen(command: list[str], *, env: dict[str, str], start_new_session: bool) -> Child:
        return Child(partial(_run_command, command[3:], folder, hook, env))

    launcher.subprocess = SimpleNamespace(Popen=popen)  # type: ignore[assignment]
    _redirect_output(folder)
    return cli._run(["launch", "--processes", str(processes), *arguments])


def _run_command(arguments: Sequence[str], folder: Path, hook: Hook, environment: Mapping[str, Any]) -> int:
    """Do what `python -m llmkit ARGUMENTS` does, in this process."""
    os.environ |= environment
    from llmkit import cli
    from llmkit.base import processes

    _redirect_output(folder)
    (folder / f"rank-{processes.get_rank()}").write_text(str(os.getpid()))
    hook(processes.get_rank())
    return cli._run(list(arguments))


def _redirect_output(folder: Path) -> None:
    os.chdir(folder)
    output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output, stream.fileno())
