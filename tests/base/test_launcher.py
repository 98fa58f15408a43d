"""Starting one command in several processes: environment, exit codes and signals."""

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

# Replaces the package llmkit in the child processes: the launcher does not depend on what they do.
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
    received = []
    signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    open(f"{sys.argv[1]}/{rank}.ready", "w").close()
    time.sleep(1.5) if not received else None
    time.sleep(0.5)
    sys.exit(75 if received == [signal.SIGTERM] else 1)
"""


@pytest.fixture
def fake_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a package llmkit that the child processes import instead of the real one; return an output folder."""
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


def test_processes_receive_rank_world_size_port_and_threads(fake_package: Path) -> None:
    assert launcher.launch([str(fake_package), "well"], 3) == 0
    variables = [json.loads((fake_package / f"{rank}.json").read_text()) for rank in range(3)]
    assert [child["RANK"] for child in variables] == ["0", "1", "2"]
    assert [child["LOCAL_RANK"] for child in variables] == ["0", "1", "2"]
    assert {child["WORLD_SIZE"] for child in variables} == {"3"}
    assert len({child["MASTER_PORT"] for child in variables}) == 1
    assert {child["OMP_NUM_THREADS"] for child in variables} == {str(max(1, (os.cpu_count() or 1) // 3))}


@pytest.mark.parametrize(("kind", "code"), [("fail", 75), ("killed", 128 + 9)])
def test_exit_code_is_that_of_the_first_failure_and_others_are_killed(
    fake_package: Path, kind: str, code: int
) -> None:
    start = time.monotonic()
    assert launcher.launch([str(fake_package), kind], 2, grace=0.2) == code
    assert time.monotonic() - start < 20


def test_signal_reaches_each_process_once(fake_package: Path) -> None:
    root = Path(launcher.__file__).parents[2]
    program = f"import sys; sys.path.insert(0, {str(root)!r}); from llmkit.base import launcher; " + (
        f"sys.exit(launcher.launch([{str(fake_package)!r}, 'signal'], 2))"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    while not all((fake_package / f"{rank}.ready").exists() for rank in range(2)):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 75
