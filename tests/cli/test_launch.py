"""`llmkit launch` passes the arguments of the command through and returns its exit code."""

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


def test_options_after_the_command_belong_to_the_command(launched: list[Any]) -> None:
    command = ["finetune", "sentiment", "seed=2", "--out", "runs/x", "--json"]
    assert cli._run(["launch", "--processes", "2", *command]) == 75
    assert launched == [(command, 2)]


def test_default_is_one_process_per_device(launched: list[Any]) -> None:
    cli._run(["launch", "doctor"])
    assert launched[0][0] == ["doctor"]
    assert launched[0][1] >= 1


def test_missing_command_is_a_one_line_error(launched: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._run(["launch", "--processes", "2"]) == 2
    assert "no command to launch" in capsys.readouterr().err
    assert launched == []
