"""Every command is listed in the help, and imported only when it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from llmkit import cli
from llmkit.cli.commands import COMMANDS

FOLDER = Path(cli.__file__).parent
HELPERS = {"__init__", "bug", "commands", "completion", "show", "texts"}  # modules that define no command


def test_every_command_module_is_listed() -> None:
    modules = {path.stem for path in FOLDER.glob("*.py")} - HELPERS
    assert modules == {name.replace("-", "_") for name in COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_are_built_once_under_their_names(name: str) -> None:
    root: Any = get_command(cli.app)
    assert name in root.commands
    command = root.commands[name]
    assert command.name == name and command.help
    assert command is root.commands.get(name)


def test_unknown_command_is_none() -> None:
    root: Any = get_command(cli.app)
    assert root.commands.get("finetun") is None


@pytest.mark.parametrize(("arguments", "loaded"), [(["--help"], []), (["runs", "--help"], ["runs"])])
def test_only_the_used_command_is_imported(arguments: list[str], loaded: list[str]) -> None:
    script = f"""
import sys
from llmkit import cli
cli._run({arguments})
print([name for name in {list(COMMANDS)} if f"llmkit.cli.{{name.replace('-', '_')}}" in sys.modules])
"""
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == str(loaded)


def test_help_shows_every_summary_on_one_line() -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", "llmkit", "--help"], capture_output=True, text=True, check=True
    )
    for name, line in COMMANDS.items():
        assert f"{name:13}  {line}\n" in outcome.stdout, outcome.stdout
