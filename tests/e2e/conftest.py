"""Fixtures that run the installed command in new processes, with one thread so that results are reproducible."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def make_environment(cache: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "LLMKIT_CACHE": cache, "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def llmkit() -> Command:
    """Return a function that runs `python -m llmkit ...` to its end."""

    def run(*arguments: str | Path, launcher: Sequence[str] = (), timeout: float = 240) -> Any:
        return subprocess.run(
            [sys.executable, *(launcher or ["-m", "llmkit"]), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=make_environment(os.environ["LLMKIT_CACHE"]),
        )

    return run


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[str]]:
    """Return a function that starts `python -m llmkit ...` and does not wait."""

    def start_command(*arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "llmkit", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=make_environment(os.environ["LLMKIT_CACHE"]),
        )

    return start_command


@pytest.fixture
def wait_for_step() -> Callable[[Path, int], None]:
    """Return a function that waits until the log of a run contains a step."""

    def wait(run: Path, step: int, timeout: float = 120) -> None:
        log = run / "log.jsonl"
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if log.exists():
                lines = log.read_text(encoding="utf-8").splitlines()
                complete = [json.loads(line) for line in lines if line.endswith("}")]
                if any(line["kind"] == "step" and line["step"] >= step for line in complete):
                    return
            time.sleep(0.005)
        raise TimeoutError(f"step {step} was not reached in {timeout} s")

    return wait
