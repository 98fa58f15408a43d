"""The installed command in processes of its own, with one thread so that sums come out the same."""

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


def environment(cache: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "LLMKIT_CACHE": cache, "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def llmkit() -> Command:
    """Run `python -m llmkit ...` to its end."""

    def run(*arguments: str | Path, launcher: Sequence[str] = (), timeout: float = 240) -> Any:
        return subprocess.run(
            [sys.executable, *(launcher or ["-m", "llmkit"]), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment(os.environ["LLMKIT_CACHE"]),
        )

    return run


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[str]]:
    """Begin `python -m llmkit ...` and return at once."""

    def begin(*arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "llmkit", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=environment(os.environ["LLMKIT_CACHE"]),
        )

    return begin


@pytest.fixture
def wait_for_step() -> Callable[[Path, int], None]:
    """Wait until the run's log shows this step (and so is somewhere behind it)."""

    def wait(run: Path, step: int, patience: float = 120) -> None:
        log = run / "log.jsonl"
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if log.exists():
                lines = log.read_text(encoding="utf-8").splitlines()
                whole = [json.loads(line) for line in lines if line.endswith("}")]
                if any(line["kind"] == "step" and line["step"] >= step for line in whole):
                    return
            time.sleep(0.005)
        raise TimeoutError(f"step {step} was not reached in {patience} s")

    return wait
