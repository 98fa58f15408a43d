"""Two processes, started by llmkit, torchrun or accelerate, give the results of one process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.distributed]

QUIET = ["train.max_steps=12", "evaluate.baselines=false"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "llmkit"]
OWN = ["-m", "llmkit", "launch", "--processes", "2"]
ACCELERATE = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "-m", "llmkit"]


def launch(launcher: list[str], recipe: Path, out: Path) -> subprocess.CompletedProcess[str]:
    process = subprocess.Popen(
        [sys.executable, *launcher, "finetune", str(recipe), *QUIET, "--out", str(out), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
    )
    try:
        stdout, stderr = process.communicate(timeout=150)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # the launcher and its children
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def steps(run: Path) -> list[dict[str, Any]]:
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in log if line["kind"] == "step"]


@pytest.fixture(scope="module")
def single(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return the run of one process and its result."""
    out = tmp_path_factory.mktemp("one") / "run"
    process = launch(["-m", "llmkit"], tiny_recipe, out)
    assert process.returncode == 0, process.stderr
    return out, json.loads(process.stdout)


@pytest.mark.parametrize("launcher", [OWN, TORCHRUN, ACCELERATE], ids=["own", "torchrun", "accelerate"])
def test_two_processes_give_the_results_of_one_process(
    launcher: list[str], single: tuple[Path, dict[str, Any]], tiny_recipe: Path, tmp_path: Path
) -> None:
    """tests.soak checks that the weights are the same."""
    two = launch(launcher, tiny_recipe, tmp_path / "two")
    assert two.returncode == 0, two.stderr
    assert "2 process(es)" in two.stderr
    result = json.loads(two.stdout)  # exactly one JSON object, from the main process
    assert result["train"]["world_size"] == 2
    assert json.loads((tmp_path / "two" / "environment.json").read_text())["world_size"] == 2
    first, second = steps(single[0])[0], steps(tmp_path / "two")[0]
    assert first["examples"] == second["examples"] == 8
    assert first["tokens"] == second["tokens"]
    assert result["scores"]["accuracy"]["n"] == single[1]["scores"]["accuracy"]["n"]
    assert two.stderr.count("tokeniz") <= 1
