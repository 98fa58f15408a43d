"""The cluster files: the SLURM script runs with replaced SLURM commands; the content of the others is checked."""

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

from llmkit.training.accelerate_settings import SUPPORTED

ROOT = Path(__file__).parent.parent / "recipes" / "cluster"

# Starts one process per task, forwards signals as SLURM does, and exits with the highest exit code.
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
    """Return a folder with replacements of the SLURM commands, and the environment of a job with two tasks."""
    commands = tmp_path / "bin"
    commands.mkdir()
    python = f'#!/bin/bash\nexec {sys.executable} "$@"\n'  # a symbolic link would not find its environment
    replacements = {"srun": SRUN.format(python=sys.executable), "scontrol": SCONTROL, "python": python}
    for name, text in replacements.items():
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
def test_slurm_job_saves_after_the_signal_is_requeued_and_resumed(
    cluster: tuple[Path, dict[str, str]], tiny_recipe: Path
) -> None:
    folder, environment = cluster
    settings = ["train.epochs=8", "checkpoint.every_steps=50", "evaluate.baselines=false", "--out", "run"]
    command = ["bash", str(ROOT / "slurm.sbatch"), "finetune", str(tiny_recipe), *settings]
    job = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    _wait_for_step(folder / "run" / "log.jsonl", 5)
    os.kill(int((folder / "srun.pid").read_text()), signal.SIGUSR1)
    _, err = job.communicate(timeout=120)
    assert job.returncode == 75, err
    assert (folder / "scontrol.log").read_text() == f"requeue {environment['SLURM_JOB_ID']}\n"
    assert json.loads((folder / "run" / "stopped.json").read_text())["why"] == "a signal"
    resumed = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200
    )
    assert resumed.returncode == 0, resumed.stderr
    assert "2 process(es)" in resumed.stderr
    assert "resumed run at step" in resumed.stderr
    assert (folder / "run" / "report.json").exists()
    assert (folder / "scontrol.log").read_text().count("requeue") == 1


def test_slurm_job_with_a_user_error_is_not_requeued(cluster: tuple[Path, dict[str, str]]) -> None:
    folder, environment = cluster
    process = subprocess.run(
        ["bash", str(ROOT / "slurm.sbatch"), "finetune", "no-such-recipe", "--out", "run"],
        cwd=folder,
        env={**environment, "SLURM_NTASKS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 2
    assert "error[" in process.stderr
    assert not (folder / "scontrol.log").exists()


def test_kubernetes_resumes_a_stopped_run_and_ends_after_a_user_error() -> None:
    job = _read("kubernetes.yaml")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    rules = {
        rule["action"]: rule["onExitCodes"]["values"] for rule in job["spec"]["podFailurePolicy"]["rules"]
    }
    assert rules == {"Ignore": [75], "FailJob": [2]}
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # required by podFailurePolicy
    (container,) = pod["containers"]
    names = {rule["onExitCodes"]["containerName"] for rule in job["spec"]["podFailurePolicy"]["rules"]}
    assert names == {container["name"]}
    assert container["command"][-1] == "--resume"
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }


def test_skypilot_stores_the_run_in_a_bucket_and_resumes() -> None:
    task = _read("skypilot.yaml")
    assert task["resources"]["use_spot"] is True
    assert task["run"].split()[-1] == "--resume"
    assert any(f" --out {mount}/" in task["run"] for mount in task["file_mounts"])


def test_accelerate_files_contain_only_supported_settings() -> None:
    assert _read("accelerate.yaml")["distributed_type"] == "MULTI_GPU"
    fsdp = _read("fsdp.yaml")
    assert fsdp["distributed_type"] == "FSDP"
    settings = {name.upper(): str(value).lower() for name, value in fsdp["fsdp_config"].items()}
    assert settings == {name: value for name, (value, _) in SUPPORTED.items()}


def _read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def _wait_for_step(log: Path, number: int, timeout: float = 120) -> None:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        lines = log.read_text().splitlines() if log.exists() else []
        if any(line.endswith("}") and json.loads(line).get("step", 0) >= number for line in lines):
            return
        time.sleep(0.02)
    raise TimeoutError(f"step {number} was not reached")
