"""The batch is the recipe's, the split is the machine's: loss and gradient do not depend on the cut."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

WORKER = Path(__file__).with_name("split_worker.py")
BUDGETS = "4,64,200,100000"  # padded tokens: one example at a time ... all 24 at once


def run(processes: int, folder: Path, fault: str = "") -> dict[str, Any]:
    launcher = (
        []
        if processes == 1
        else ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    )
    done = subprocess.run(
        [sys.executable, *launcher, str(WORKER), str(folder), BUDGETS, fault],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def alone(tiny_bert: Path) -> dict[str, Any]:
    return run(1, tiny_bert)


def spread(figures: dict[str, list[list[float]]], reference: list[list[float]]) -> float:
    """The largest relative difference to the reference over all cuts, steps, loss and norm."""
    return max(float(np.max(np.abs(np.array(f) / np.array(reference) - 1))) for f in figures.values())


@pytest.mark.slow
def test_loss_and_gradient_do_not_depend_on_the_micro_batches(alone: dict[str, Any]) -> None:
    assert alone["world_size"] == 1
    assert spread(alone["figures"], alone["figures"]["100000"]) < 1e-6


@pytest.mark.slow
@pytest.mark.distributed
def test_loss_and_gradient_do_not_depend_on_the_processes(alone: dict[str, Any], tiny_bert: Path) -> None:
    two = run(2, tiny_bert)
    assert two["world_size"] == 2
    assert spread(two["figures"], alone["figures"]["100000"]) < 1e-6


@pytest.mark.slow
def test_a_mean_of_means_would_be_noticed(tiny_bert: Path, alone: dict[str, Any]) -> None:
    faulty = run(1, tiny_bert, "mean")
    assert spread(faulty["figures"], alone["figures"]["100000"]) > 1e-3
