"""Fixtures: two finished runs of the tiny recipe, trained once, and the command line in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import llmkit
from llmkit import cli


@dataclass(frozen=True)
class Outcome:
    """The result of a command: exit code, stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The single JSON object on stdout; raises ValueError if there is anything else."""
        value: dict[str, Any] = json.loads(self.out)
        return value


Command = Callable[..., Outcome]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `llmkit ARGUMENTS` in this process, with tmp_path as the working directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Outcome:
        code = cli._run([str(argument) for argument in arguments])
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def finished(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    return _train(tiny_recipe, [], tmp_path_factory)


@pytest.fixture(scope="session")
def other(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the same data that learned almost nothing."""
    return _train(tiny_recipe, ["train.max_steps=2", "train.learning_rate=1e-6"], tmp_path_factory)


@pytest.fixture
def unfinished(tiny_recipe: Path, tmp_path: Path) -> Path:
    """A run that was killed after step 4."""
    folder = tmp_path / "killed"
    folder.mkdir()
    (folder / "recipe.yaml").write_bytes(tiny_recipe.read_bytes())
    steps = [json.dumps({"kind": "step", "step": number}) + "\n" for number in range(1, 5)]
    (folder / "log.jsonl").write_text("".join(steps), encoding="utf-8")
    return folder


def _train(recipe: Path, overrides: list[str], factory: pytest.TempPathFactory) -> Path:
    """Train with the cache folder of the tests: session fixtures run before the fixture that sets it for each test."""
    folder = factory.mktemp("runs") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMKIT_CACHE", str(factory.getbasetemp() / "cache"))
        llmkit.finetune(str(recipe), overrides, out=folder)
    return folder
