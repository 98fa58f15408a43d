"""The short soak: runs of all tasks, broken in every way there is, end as if nothing had happened."""

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
def soaked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All parts in one process that imports everything once and forks a run in a second."""
    results = tmp_path_factory.mktemp("soak") / "results.json"
    command = [sys.executable, "-m", "tests.soak", "short", "--json", str(results)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1500)
    assert results.exists(), done.stderr[-3000:]
    found: dict[str, Any] = json.loads(results.read_text())
    assert done.returncode == int(any(part["faults"] for part in found.values())), done.stderr[-3000:]
    return found


@pytest.mark.parametrize("part", TRIALS)
def test_all_trials_end_well(soaked: dict[str, Any], part: str) -> None:
    assert soaked[part]["faults"] == []
    assert soaked[part]["good"] == soaked[part]["of"] >= TRIALS[part]


def test_a_good_part_of_the_kills_hits_a_save(soaked: dict[str, Any]) -> None:
    assert soaked["kills-1"]["counts"]["inside a save"] >= 6


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
def test_a_lost_piece_of_state_is_noticed(soaked: dict[str, Any], piece: str) -> None:
    assert soaked["forgotten"]["counts"][piece] == 1
