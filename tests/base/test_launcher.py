"""Several processes of one command: who they are, how they end, what signals reach them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmkit.base import launcher

# Stands for `python -m llmkit`: what the processes do is not the launcher's business.
PACKAGE = """
import json, os, signal, sys, time
rank = int(os.environ["RANK"])
with open(f"{sys.argv[1]}/{rank}.json", "w") as file:
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT", "OMP_NUM_THREADS")
    json.dump({name: os.environ[name] for name in names}, file)
kind = sys.argv[2]
if kind == "fail" and rank == 1:
    sys.exit(75)
if kind == "killed" and rank == 1:
    os.kill(os.getpid(), signal.SIGKILL)
if kind in ("fail", "killed"):
    time.sleep(60)
if kind == "signal":
    heard = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    open(f"{sys.argv[1]}/{rank}.ready", "w").close()
    time.sleep(1.5) if not heard else None
    time.sleep(0.5)
    sys.exit(75 if heard == [signal.SIGTERM] else 1)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package llmkit of its own, found before the real one by the processes."""
    package = tmp_path / "path" / "llmkit"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(PACKAGE)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.chdir(package.parent)
    out = tmp_path / "out"
    out.mkdir()
    return out


def test_each_process_knows_its_place(stand_in: Path) -> None:
    assert launcher.launch([str(stand_in), "well"], 3) == 0
    found = [json.loads((stand_in / f"{rank}.json").read_text()) for rank in range(3)]
    assert [one["RANK"] for one in found] == [one["LOCAL_RANK"] for one in found] == ["0", "1", "2"]
    assert {one["WORLD_SIZE"] for one in found} == {"3"}
    assert len({one["MASTER_PORT"] for one in found}) == 1
    assert {one["OMP_NUM_THREADS"] for one in found} == {str(max(1, (os.cpu_count() or 1) // 3))}


@pytest.mark.parametrize(("kind", "code"), [("fail", 75), ("killed", 128 + 9)])
def test_the_first_failure_is_the_exit_code_and_nobody_is_left(stand_in: Path, kind: str, code: int) -> None:
    began = time.monotonic()
    assert launcher.launch([str(stand_in), kind], 2, grace=0.2) == code
    assert time.monotonic() - began < 20


def test_a_signal_reaches_each_process_once(stand_in: Path) -> None:
    root = Path(launcher.__file__).parents[2]
    program = f"import sys; sys.path.insert(0, {str(root)!r}); from llmkit.base import launcher; " + (
        f"sys.exit(launcher.launch([{str(stand_in)!r}, 'signal'], 2))"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    while not all((stand_in / f"{rank}.ready").exists() for rank in range(2)):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 75
