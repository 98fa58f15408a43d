"""train.shard on the command line: two processes that share the model, killed, resumed, continued by one process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file

from tests.e2e.test_processes import OWN, steps

pytestmark = [pytest.mark.slow, pytest.mark.distributed]

ROOT = Path(__file__).parents[2]
SETTINGS = [
    "train.max_steps=24",
    "checkpoint.every_steps=4",
    "evaluate.every_steps=12",
    "evaluate.baselines=false",
]
FSDP = [
    *("-m", "accelerate.commands.launch", "--config_file", str(ROOT / "recipes" / "cluster" / "fsdp.yaml")),
    *("--num_processes", "2", "-m", "llmkit"),
]
TIMEOUT = 300.0  # seconds that one command may take


@pytest.fixture
def recipe_without_dropout(tiny_bert: Path, tiny_recipe: Path, tmp_path: Path) -> Path:
    """Return the tiny recipe without dropout, because dropout masks differ between processes."""
    model = Path(shutil.copytree(tiny_bert, tmp_path / "no_dropout"))
    config = json.loads((model / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (model / "config.json").write_text(json.dumps(config))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(tiny_recipe.read_text().replace(str(tiny_bert), str(model)))
    return recipe


def make_command(launcher: list[str], recipe: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, *launcher, "finetune", str(recipe), *SETTINGS, *more, "--out", str(out)]


def run_to_end(arguments: list[str]) -> str:
    """Run a command; return its stderr."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    process = subprocess.run(arguments, capture_output=True, text=True, timeout=TIMEOUT, env=environment)
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stderr


def load_weights(run: Path) -> dict[str, Any]:
    return dict(load_file(run / "model" / "model.safetensors"))


def compute_largest_difference(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    assert ours.keys() == theirs.keys()
    return max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours)


def kill_rank(run: Path, rank: int) -> None:
    """Kill the process of this rank in a run."""
    for process in psutil.process_iter():
        try:
            if str(run) in process.cmdline() and process.environ().get("RANK") == str(rank):
                process.kill()
                return
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    raise AssertionError(f"no process of rank {rank}")


def test_sharded_run_resumes_bit_for_bit_and_one_process_can_continue_it(
    recipe_without_dropout: Path, wait_for_step: Callable[..., None], tmp_path: Path
) -> None:
    """accelerate resumes the run; its configuration file turns on sharding instead of the recipe."""
    uninterrupted, run, continued = (tmp_path / name for name in ("uninterrupted", "run", "continued"))
    output = run_to_end(make_command(OWN, recipe_without_dropout, uninterrupted, "train.shard=true"))
    assert "2 process(es) of 1 thread(s) that share the model" in output

    arguments = make_command(OWN, recipe_without_dropout, run, "train.shard=true")
    killed = subprocess.Popen(
        arguments,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_step(run, 9, TIMEOUT)
    kill_rank(run, 1)
    _, last_output = killed.communicate(timeout=90)
    assert killed.returncode != 0
    assert not list(tmp_path.glob("llmkit-bug-*")), last_output
    assert "error[R08] another process of this run has ended" in last_output
    assert not (run / "report.json").exists()
    shutil.copytree(run, continued)

    output = run_to_end([*make_command(FSDP, recipe_without_dropout, run), "--resume"])
    assert "that share the model" in output
    assert "resumed" in output
    digests = [
        json.loads((folder / "report.json").read_text())["weights_sha256"] for folder in (uninterrupted, run)
    ]
    assert digests[0] == digests[1]
    assert [(s["step"], s["loss"]) for s in steps(uninterrupted)] == [
        (s["step"], s["loss"]) for s in steps(run)
    ]

    output = run_to_end(
        [*make_command(["-m", "llmkit"], recipe_without_dropout, continued, "train.shard=true"), "--resume"]
    )
    assert "world_size 2 -> 1" in output
    assert compute_largest_difference(load_weights(uninterrupted), load_weights(continued)) < 2e-6
