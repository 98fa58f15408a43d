"""`llmkit launch` passes the command on as it is, and its exit code back."""

from __future__ import annotations

from typing import Any

import pytest

from llmkit import cli
from llmkit.base import launcher


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []

    def launch(arguments: list[str], count: int) -> int:
        calls.append((arguments, count))
        return 75

    monkeypatch.setattr(launcher, "launch", launch)
    return calls


def test_options_of_the_command_are_the_commands(launched: list[Any]) -> None:
    command = ["finetune", "sentiment", "seed=2", "--out", "runs/x", "--json"]
    assert cli._run(["launch", "--processes", "2", *command]) == 75
    assert launched == [(command, 2)]


def test_without_a_number_it_is_one_for_each_device(launched: list[Any]) -> None:
    cli._run(["launch", "doctor"])
    assert launched[0][0] == ["doctor"]
    assert launched[0][1] >= 1


def test_nothing_to_launch_is_a_line(launched: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._run(["launch", "--processes", "2"]) == 2
    assert "no command to launch" in capsys.readouterr().err
    assert launched == []
