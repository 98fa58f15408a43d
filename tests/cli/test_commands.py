"""Every command is found, built only when it is asked for, and has its line in the help."""

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
HELPERS = {"__init__", "bug", "commands", "completion", "show", "texts"}  # modules without a command


def test_every_module_of_a_command_is_listed() -> None:
    modules = {path.stem for path in FOLDER.glob("*.py")} - HELPERS
    assert modules == {name.replace("-", "_") for name in COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_is_built_under_its_name(name: str) -> None:
    root: Any = get_command(cli.app)
    assert name in root.commands
    command = root.commands[name]
    assert command.name == name and command.help
    assert command is root.commands.get(name)


def test_an_unknown_one_is_none() -> None:
    root: Any = get_command(cli.app)
    assert root.commands.get("finetun") is None


@pytest.mark.parametrize(("arguments", "loaded"), [(["--help"], []), (["runs", "--help"], ["runs"])])
def test_no_other_is_imported(arguments: list[str], loaded: list[str]) -> None:
    script = f"""
import sys
from llmkit import cli
cli._run({arguments})
print([name for name in {list(COMMANDS)} if f"llmkit.cli.{{name.replace('-', '_')}}" in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert found.splitlines()[-1] == str(loaded)


def test_the_help_holds_every_line_whole() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "llmkit", "--help"], capture_output=True, text=True, check=True
    )
    for name, line in COMMANDS.items():
        assert f"{name:13}  {line}\n" in done.stdout, done.stdout
