"""Rank and world size from the environment."""

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
        ({"RANK": "captain", "WORLD_SIZE": ""}, 0, 1, True),  # not set by a launcher
        (
            {"RANK": "8", "WORLD_SIZE": "16", "LOCAL_RANK": "0"},
            8,
            16,
            False,
        ),  # first process of the second machine
    ],
)
def test_rank_and_world_size_are_read_from_the_environment(
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


def test_reading_the_rank_does_not_import_torch() -> None:
    code = (
        "import sys; from llmkit.base import processes; processes.get_rank(); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).stdout == b"False\n"
