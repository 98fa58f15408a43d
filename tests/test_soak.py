"""The short soak test: interrupted runs of all tasks end with the same result as uninterrupted ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.distributed, pytest.mark.timeout(1600)]

ROOT = Path(__file__).parent.parent
TRIALS = {
    "kills-1": 20,
    "kills-2": 5,
    "forgotten": 8,
    "signals": 8,
    "numbers": 6,
    "memory": 2,
    "disk": 4,
    "flips": 4,
    "elastic": 1,
    "evaluation": 80,
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run all parts in one process, which imports everything once and forks for each run."""
    file = tmp_path_factory.mktemp("soak") / "results.json"
    command = [sys.executable, "-m", "tests.soak", "short", "--json", str(file)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1500)
    assert file.exists(), process.stderr[-3000:]
    parts: dict[str, Any] = json.loads(file.read_text())
    assert process.returncode == int(any(part["faults"] for part in parts.values())), process.stderr[-3000:]
    return parts


@pytest.mark.parametrize("part", TRIALS)
def test_all_trials_succeed(results: dict[str, Any], part: str) -> None:
    assert results[part]["faults"] == []
    assert results[part]["good"] == results[part]["of"] >= TRIALS[part]


def test_at_least_six_kills_hit_a_save(results: dict[str, Any]) -> None:
    assert results["kills-1"]["counts"]["inside a save"] >= 6


@pytest.mark.parametrize(
    "piece",
    [
        "first moments",
        "second moments",
        "AdamW's step",
        "place in the epoch",
        "best value",
        "misses",
        "log offset",
    ],
)
def test_result_depends_on_every_piece_of_state(results: dict[str, Any], piece: str) -> None:
    assert results["forgotten"]["counts"][piece] == 1
