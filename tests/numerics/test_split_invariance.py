"""The batch is the recipe's, the split is the machine's: loss and gradient do not depend on the cut, for any task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmkit import tasks
from tests.samples import write_recipe

WORKER = Path(__file__).with_name("split_worker.py")
BUDGETS = "4,64,200,100000"  # padded tokens: one example at a time ... all 24 at once
Figures = dict[str, dict[str, list[list[float]]]]  # recipe -> budget -> [loss, norm] of each step

each_task = pytest.mark.parametrize("task", tasks.names())


def run(processes: int, recipes: list[Path], *options: str) -> dict[str, Any]:
    launcher = (
        []
        if processes == 1
        else ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    )
    done = subprocess.run(
        [sys.executable, *launcher, str(WORKER), BUDGETS, *map(str, recipes), *options],
        capture_output=True,
        text=True,
        timeout=400,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory, tiny_for: Callable[[str], Path]) -> list[Path]:
    """A recipe of each task over ragged examples."""
    folder = tmp_path_factory.mktemp("recipes")
    return [write_recipe(task, folder, tiny_for(task), count=60) for task in tasks.names()]


@pytest.fixture(scope="module")
def alone(recipes: list[Path]) -> Figures:
    found = run(1, recipes)
    assert found["world_size"] == 1
    return _by_task(found)


@pytest.fixture(scope="module")
def two(recipes: list[Path]) -> Figures:
    found = run(2, recipes)
    assert found["world_size"] == 2
    return _by_task(found)


@pytest.fixture(scope="module")
def faulty(recipes: list[Path]) -> Figures:
    return _by_task(run(1, recipes, "--fault"))


def _by_task(found: dict[str, Any]) -> Figures:
    return {Path(path).stem: figures for path, figures in found["figures"].items()}


def spread(figures: dict[str, list[list[float]]], reference: list[list[float]]) -> float:
    """The largest relative difference to the reference over all cuts, steps, loss and norm."""
    return max(float(np.max(np.abs(np.array(f) / np.array(reference) - 1))) for f in figures.values())


@pytest.mark.slow
@each_task
def test_loss_and_gradient_do_not_depend_on_the_micro_batches(task: str, alone: Figures) -> None:
    assert spread(alone[task], alone[task]["100000"]) < 1e-12


@pytest.mark.slow
@pytest.mark.distributed
@each_task
def test_loss_and_gradient_do_not_depend_on_the_processes(task: str, alone: Figures, two: Figures) -> None:
    assert spread(two[task], alone[task]["100000"]) < 1e-12


@pytest.mark.slow
@each_task
def test_a_mean_of_means_would_be_noticed(task: str, alone: Figures, faulty: Figures) -> None:
    assert spread(faulty[task], alone[task]["100000"]) > 1e-4
