"""Rank and world size as the launchers tell them, without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from llmkit.base import processes


@pytest.mark.parametrize(
    ("variables", "rank", "world_size", "is_main"),
    [
        ({}, 0, 1, True),
        ({"RANK": "0", "WORLD_SIZE": "2"}, 0, 2, True),
        ({"RANK": "1", "WORLD_SIZE": "2"}, 1, 2, False),
        ({"RANK": "captain", "WORLD_SIZE": ""}, 0, 1, True),  # somebody else's variables
        ({"RANK": "8", "WORLD_SIZE": "16", "LOCAL_RANK": "0"}, 8, 16, False),  # first of the second machine
    ],
)
def test_a_process_knows_its_place(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], rank: int, world_size: int, is_main: bool
) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (processes.get_rank(), processes.get_world_size(), processes.is_main()) == (
        rank,
        world_size,
        is_main,
    )


def test_torch_is_not_needed() -> None:
    code = (
        "import sys; from llmkit.base import processes; processes.get_rank(); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).stdout == b"False\n"
