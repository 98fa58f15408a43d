"""The templates for clusters: SLURM's runs against stand-ins of its commands, the others hold what they promise."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmkit.training.accelerate_settings import NEEDED

ROOT = Path(__file__).parent.parent / "recipes" / "cluster"

# Starts the command once for each task, passes signals on as SLURM does, and leaves with the highest exit code.
SRUN = """#!{python}
import os, signal, subprocess, sys
count = int(os.environ["SLURM_NTASKS"])
tasks = [
    subprocess.Popen(sys.argv[1:], env={{**os.environ, "SLURM_PROCID": str(n), "SLURM_LOCALID": str(n)}})
    for n in range(count)
]
open("srun.pid", "w").write(str(os.getpid()))
signal.signal(signal.SIGUSR1, lambda number, frame: [task.send_signal(number) for task in tasks])
sys.exit(max(task.wait() for task in tasks))
"""
SCONTROL = """#!/bin/bash
if [ "$1" = show ]; then echo 127.0.0.1; else echo "$@" >> scontrol.log; fi
"""


@pytest.fixture
def cluster(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A folder with the stand-ins, and the environment of a job of two tasks."""
    commands = tmp_path / "bin"
    commands.mkdir()
    python = f'#!/bin/bash\nexec {sys.executable} "$@"\n'  # a link would not find its environment
    stand_ins = {"srun": SRUN.format(python=sys.executable), "scontrol": SCONTROL, "python": python}
    for name, text in stand_ins.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SLURM_JOB_NODELIST": "here",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_NTASKS": "2",
        "SLURM_CPUS_PER_TASK": "1",
    }
    return tmp_path, environment


@pytest.mark.slow
@pytest.mark.distributed
def test_a_slurm_job_saves_at_the_signal_is_requeued_and_ends_where_it_should(
    cluster: tuple[Path, dict[str, str]], tiny_recipe: Path
) -> None:
    folder, environment = cluster
    settings = ["train.epochs=8", "checkpoint.every_steps=50", "evaluate.baselines=false", "--out", "run"]
    command = ["bash", str(ROOT / "slurm.sbatch"), "finetune", str(tiny_recipe), *settings]
    job = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    _wait_for_step(folder / "run" / "log.jsonl", 5)
    os.kill(int((folder / "srun.pid").read_text()), signal.SIGUSR1)
    _, said = job.communicate(timeout=120)
    assert job.returncode == 75, said
    assert (folder / "scontrol.log").read_text() == f"requeue {environment['SLURM_JOB_ID']}\n"
    assert json.loads((folder / "run" / "stopped.json").read_text())["why"] == "a signal"
    again = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)
    assert again.returncode == 0, again.stderr
    assert "2 process(es)" in again.stderr
    assert "resumed run at step" in again.stderr
    assert (folder / "run" / "report.json").exists()
    assert (folder / "scontrol.log").read_text().count("requeue") == 1


def test_a_slurm_job_with_a_mistake_is_not_requeued(cluster: tuple[Path, dict[str, str]]) -> None:
    folder, environment = cluster
    done = subprocess.run(
        ["bash", str(ROOT / "slurm.sbatch"), "finetune", "no-such-recipe", "--out", "run"],
        cwd=folder,
        env={**environment, "SLURM_NTASKS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert "error[" in done.stderr
    assert not (folder / "scontrol.log").exists()


def test_kubernetes_starts_a_stopped_run_again_and_no_mistaken_one() -> None:
    job = _read("kubernetes.yaml")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    rules = {
        rule["action"]: rule["onExitCodes"]["values"] for rule in job["spec"]["podFailurePolicy"]["rules"]
    }
    assert rules == {"Ignore": [75], "FailJob": [2]}
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # the policy asks for it
    (container,) = pod["containers"]
    names = {rule["onExitCodes"]["containerName"] for rule in job["spec"]["podFailurePolicy"]["rules"]}
    assert names == {container["name"]}
    assert container["command"][-1] == "--resume"
    assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}


def test_skypilot_resumes_on_a_folder_that_outlives_the_machine() -> None:
    task = _read("skypilot.yaml")
    assert task["resources"]["use_spot"] is True
    assert task["run"].split()[-1] == "--resume"
    assert any(f" --out {mount}/" in task["run"] for mount in task["file_mounts"])


def test_accelerate_asks_for_nothing_that_is_refused() -> None:
    assert _read("accelerate.yaml")["distributed_type"] == "MULTI_GPU"
    fsdp = _read("fsdp.yaml")
    assert fsdp["distributed_type"] == "FSDP"
    asked = {name.upper(): str(value).lower() for name, value in fsdp["fsdp_config"].items()}
    assert asked == {name: value for name, (value, _) in NEEDED.items()}


def _read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def _wait_for_step(log: Path, number: int, patience: float = 120) -> None:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        lines = log.read_text().splitlines() if log.exists() else []
        if any(line.endswith("}") and json.loads(line).get("step", 0) >= number for line in lines):
            return
        time.sleep(0.02)
    raise TimeoutError(f"step {number} was not reached")
