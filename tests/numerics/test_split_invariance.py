"""Loss and gradient of a step do not depend on micro-batches or processes, for any task."""

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
BUDGETS = "4,64,200,100000"  # tokens per micro-batch: from one example at a time to all 24 at once
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
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory, tiny_for: Callable[[str], Path]) -> list[Path]:
    """A recipe of each task, with examples of different lengths."""
    folder = tmp_path_factory.mktemp("recipes")
    return [write_recipe(task, folder, tiny_for(task), count=60) for task in tasks.names()]


@pytest.fixture(scope="module")
def alone(recipes: list[Path]) -> Figures:
    result = run(1, recipes)
    assert result["world_size"] == 1
    return figures_by_task(result)


@pytest.fixture(scope="module")
def two(recipes: list[Path]) -> Figures:
    result = run(2, recipes)
    assert result["world_size"] == 2
    return figures_by_task(result)


@pytest.fixture(scope="module")
def averaged(recipes: list[Path]) -> Figures:
    """The figures of a loss that averages the means of the micro-batches."""
    return figures_by_task(run(1, recipes, "--mean-of-means"))


def figures_by_task(result: dict[str, Any]) -> Figures:
    return {Path(path).stem: figures for path, figures in result["figures"].items()}


def max_difference(figures: dict[str, list[list[float]]], reference: list[list[float]]) -> float:
    """Return the largest relative difference to the reference over all budgets and steps, of loss and norm."""
    return max(float(np.max(np.abs(np.array(f) / np.array(reference) - 1))) for f in figures.values())


@pytest.mark.slow
@each_task
def test_loss_and_gradient_do_not_depend_on_the_micro_batches(task: str, alone: Figures) -> None:
    assert max_difference(alone[task], alone[task]["100000"]) < 1e-12


@pytest.mark.slow
@pytest.mark.distributed
@each_task
def test_loss_and_gradient_do_not_depend_on_the_processes(task: str, alone: Figures, two: Figures) -> None:
    assert max_difference(two[task], alone[task]["100000"]) < 1e-12


@pytest.mark.slow
@each_task
def test_a_mean_of_means_would_be_detected(task: str, alone: Figures, averaged: Figures) -> None:
    assert max_difference(averaged[task], alone[task]["100000"]) > 1e-4
