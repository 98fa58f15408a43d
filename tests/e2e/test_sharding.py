"""train.shard from the command line: two processes that share the model, killed, resumed, and gone on with by one."""

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
PATIENCE = 300.0  # seconds that one command may take


@pytest.fixture
def still(tiny_bert: Path, tiny_recipe: Path, tmp_path: Path) -> Path:
    """The tiny recipe without dropout, whose draws differ by process."""
    model = Path(shutil.copytree(tiny_bert, tmp_path / "still"))
    config = json.loads((model / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (model / "config.json").write_text(json.dumps(config))
    recipe = tmp_path / "still.yaml"
    recipe.write_text(tiny_recipe.read_text().replace(str(tiny_bert), str(model)))
    return recipe


def command(launcher: list[str], recipe: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, *launcher, "finetune", str(recipe), *SETTINGS, *more, "--out", str(out)]


def finished(arguments: list[str]) -> str:
    """What it said on stderr."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def weights(run: Path) -> dict[str, Any]:
    return dict(load_file(run / "model" / "model.safetensors"))


def apart(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    assert ours.keys() == theirs.keys()
    return max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours)


def kill_rank(run: Path, rank: int) -> None:
    """SIGKILL to the process of this run that has this rank."""
    for process in psutil.process_iter():
        try:
            if str(run) in process.cmdline() and process.environ().get("RANK") == str(rank):
                process.kill()
                return
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    raise AssertionError(f"no process of rank {rank}")


def test_killed_and_resumed_it_ends_the_same_to_the_bit_and_one_process_can_go_on(
    still: Path, wait_for_step: Callable[..., None], tmp_path: Path
) -> None:
    """Resumed by accelerate, whose configuration asks for sharding in the place of the recipe's key."""
    whole, run, alone = (tmp_path / name for name in ("whole", "run", "alone"))
    said = finished(command(OWN, still, whole, "train.shard=true"))
    assert "2 process(es) of 1 thread(s) that share the model" in said

    begun = command(OWN, still, run, "train.shard=true")
    killed = subprocess.Popen(
        begun,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_step(run, 9, PATIENCE)
    kill_rank(run, 1)
    _, said_last = killed.communicate(timeout=90)
    assert killed.returncode != 0
    assert not list(tmp_path.glob("llmkit-bug-*")), said_last
    assert "error[R08] another process of this run has ended" in said_last
    assert not (run / "report.json").exists()
    shutil.copytree(run, alone)

    said = finished([*command(FSDP, still, run), "--resume"])
    assert "that share the model" in said
    assert "resumed" in said
    digests = [json.loads((folder / "report.json").read_text())["weights_sha256"] for folder in (whole, run)]
    assert digests[0] == digests[1]
    assert [(s["step"], s["loss"]) for s in steps(whole)] == [(s["step"], s["loss"]) for s in steps(run)]

    said = finished([*command(["-m", "llmkit"], still, alone, "train.shard=true"), "--resume"])
    assert "world_size 2 -> 1" in said
    assert apart(weights(whole), weights(alone)) < 2e-6
