"""Two processes, started by torchrun and by accelerate, do the same job as one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

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
        os.killpg(process.pid, signal.SIGKILL)  # the launcher's children as well
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def steps(run: Path) -> list[dict[str, Any]]:
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in log if line["kind"] == "step"]


@pytest.mark.parametrize("launcher", [OWN, TORCHRUN, ACCELERATE], ids=["own", "torchrun", "accelerate"])
def test_two_processes_do_what_one_does(launcher: list[str], tiny_recipe: Path, tmp_path: Path) -> None:
    alone = launch(["-m", "llmkit"], tiny_recipe, tmp_path / "one")
    two = launch(launcher, tiny_recipe, tmp_path / "two")
    assert alone.returncode == 0, alone.stderr
    assert two.returncode == 0, two.stderr
    assert "2 process(es)" in two.stderr
    result = json.loads(two.stdout)  # exactly one JSON object, from the first process
    assert result["train"]["world_size"] == 2
    assert json.loads((tmp_path / "two" / "environment.json").read_text())["world_size"] == 2
    first, second = steps(tmp_path / "one")[0], steps(tmp_path / "two")[0]
    assert first["examples"] == second["examples"] == 8
    assert first["tokens"] == second["tokens"]
    assert result["scores"]["accuracy"]["n"] == json.loads(alone.stdout)["scores"]["accuracy"]["n"]
    assert two.stderr.count("tokeniz") <= 1


def test_without_dropout_the_weights_agree(tiny_bert: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    """Dropout draws differ by rank; without it one and two processes end at the same weights up to rounding."""
    import shutil

    still = Path(shutil.copytree(tiny_bert, tmp_path / "still"))
    config = json.loads((still / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (still / "config.json").write_text(json.dumps(config))
    recipe = tmp_path / "still.yaml"
    recipe.write_text(tiny_recipe.read_text().replace(str(tiny_bert), str(still)))
    weights = []
    for name, launcher in (("one", ["-m", "llmkit"]), ("two", TORCHRUN)):
        done = launch(launcher, recipe, tmp_path / name)
        assert done.returncode == 0, done.stderr
        weights.append(load_file(tmp_path / name / "model" / "model.safetensors"))
    assert all(np.allclose(weights[0][key], weights[1][key], atol=2e-6) for key in weights[0])


def test_killed_and_stopped_with_two_processes_the_end_is_the_same_to_the_bit(
    tiny_recipe: Path, tmp_path: Path
) -> None:
    """kill -9 of one process ends both; SIGTERM saves at one common step, exit code 75; then --resume."""
    whole, out = tmp_path / "whole", tmp_path / "run"
    many = [*QUIET[1:], "train.epochs=8", "checkpoint.every_steps=7"]
    command = [sys.executable, *OWN, "finetune", str(tiny_recipe), *many, "--out"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    assert subprocess.run([*command, str(whole)], env=env, capture_output=True, timeout=200).returncode == 0

    first = subprocess.Popen([*command, str(out)], env=env, stderr=subprocess.PIPE, text=True)
    _wait_for_step(out, 10)
    _kill_rank(out, 1)
    assert first.wait(timeout=90) != 0
    second = subprocess.Popen([*command, str(out), "--resume"], env=env, stderr=subprocess.PIPE, text=True)
    _wait_for_step(out, 30)
    second.send_signal(signal.SIGTERM)
    _, said = second.communicate(timeout=90)
    assert second.returncode == 75, said
    about = json.loads((out / "stopped.json").read_text())
    assert (out / "checkpoints" / f"step-{about['step']:08d}").is_dir()
    assert about["resume"].endswith(f"--out {out} --resume")
    last = subprocess.run([*command, str(out), "--resume"], env=env, capture_output=True, timeout=200)
    assert last.returncode == 0, last.stderr
    assert not (out / "stopped.json").exists()
    digests = [json.loads((run / "report.json").read_text())["weights_sha256"] for run in (whole, out)]
    assert digests[0] == digests[1]
    assert [(s["step"], s["loss"]) for s in steps(whole)] == [(s["step"], s["loss"]) for s in steps(out)]


def _wait_for_step(run: Path, number: int, patience: float = 150) -> None:
    import time

    end = time.monotonic() + patience
    while time.monotonic() < end:
        log = run / "log.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        if any(line.endswith("}") and json.loads(line).get("step", 0) >= number for line in lines):
            return
        time.sleep(0.01)
    raise TimeoutError(f"step {number} was not reached")


def _kill_rank(run: Path, rank: int) -> None:
    """SIGKILL to the process of this run that has this rank."""
    import psutil

    for process in psutil.process_iter():
        try:
            if str(run) in process.cmdline() and process.environ().get("RANK") == str(rank):
                process.kill()
                return
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    raise AssertionError(f"no process of rank {rank}")
