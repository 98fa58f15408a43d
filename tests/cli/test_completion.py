"""Shell completion: the scripts and the suggestions, each computed in a new process as a shell does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import llmkit
from llmkit.cli import completion
from llmkit.recipe import packaged

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(llmkit.__file__).parents[1])}


def suggest(line: str, folder: Path, *, last: str = "") -> list[str]:
    """Return the suggestions for the incomplete word `last` after `line`, requested as bash does."""
    count = str(len(line.split()))
    variables = {"COMP_WORDS": f"{line} {last}", "COMP_CWORD": count, completion.VARIABLE: "complete_bash"}
    outcome = subprocess.run(
        [sys.executable, "-m", "llmkit"],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**ENVIRONMENT, **variables},
        timeout=60,
    )
    assert (outcome.returncode, outcome.stderr) == (0, "")
    return outcome.stdout.split()


@pytest.mark.parametrize(
    ("line", "last", "expected"),
    [
        ("llmkit", "fin", ["finetune"]),
        ("llmkit recipes", "", ["list", "show", "copy"]),
        ("llmkit evaluate", "--ref", ["--references"]),
        ("llmkit pretrain", "clm", ["clm-continue", "clm-lstm", "clm-scratch"]),
        ("llmkit finetune", "mi", ["mine.yaml"]),
        ("llmkit predict", "ru", ["runs/sentiment/a", "runs/sentiment/b"]),
        ("llmkit compare runs/sentiment/a", "runs/sentiment/b", ["runs/sentiment/b"]),
        ("llmkit predict", "ot", ["other/"]),
        ("llmkit predict", "other/c", ["other/c"]),
        ("llmkit explain-error", "C0", [f"C{number:02}" for number in range(1, 10)]),
    ],
)
def test_suggestions_cover_commands_options_recipes_runs_and_codes(
    line: str, last: str, expected: list[str], tmp_path: Path
) -> None:
    for run in ("runs/sentiment/a", "runs/sentiment/b", "other/c"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "recipe.yaml").touch()
    (tmp_path / "mine.yaml").touch()
    assert suggest(line, tmp_path, last=last) == expected


def test_every_packaged_recipe_is_suggested(tmp_path: Path) -> None:
    assert suggest("llmkit recipes copy", tmp_path) == packaged.list_names()


def test_unreadable_folder_gives_no_suggestions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("typer.completion.shell_complete", refuse)
    monkeypatch.setenv(completion.VARIABLE, "complete_bash")
    assert completion.print_suggestions(None) == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_script_of_each_shell_calls_llmkit(shell: str, command: Callable[..., Any]) -> None:
    outcome = command("--show-completion", shell)
    assert outcome.code == 0
    assert f"{completion.VARIABLE}=complete_{shell}" in outcome.out
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=outcome.out, text=True, check=True)


def test_bash_completes_with_the_script(tmp_path: Path, command: Callable[..., Any]) -> None:
    """Source the script in bash and call the function that Tab calls."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    (tmp_path / "llmkit").write_text(f'#!/bin/sh\nexec {sys.executable} -m llmkit "$@"\n', encoding="utf-8")
    (tmp_path / "llmkit").chmod(0o755)
    script = command("--show-completion", "bash").out
    tab = 'COMP_WORDS=(llmkit finetune sentiment-z) COMP_CWORD=2; _llmkit_completion llmkit; echo "${COMPREPLY[@]}"'
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    outcome = subprocess.run(
        [bash, "--norc", "-c", f"{script}\n{tab}"],
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, "PATH": path},
        timeout=60,
    )
    assert (outcome.stdout, outcome.stderr) == ("sentiment-zh\n", "")


def test_install_writes_the_script_and_sources_it_in_bashrc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    outcome = command("--install-completion", "bash")
    assert outcome.code == 0
    (script,) = (path for path in tmp_path.rglob("llmkit.sh"))
    assert str(script) in outcome.out
    assert str(script) in (tmp_path / ".bashrc").read_text(encoding="utf-8")
    assert script.read_text(encoding="utf-8").strip() == command("--show-completion", "bash").out.strip()


def test_current_shell_is_the_default(monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any]) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("zsh", "/bin/zsh"))
    assert command("--show-completion").out == command("--show-completion", "zsh").out


def test_login_shell_is_the_fallback(monkeypatch: pytest.MonkeyPatch, command: Callable[..., Any]) -> None:
    import shellingham

    def fail() -> None:
        raise shellingham.ShellDetectionFailure

    monkeypatch.setattr("shellingham.detect_shell", fail)
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert command("--show-completion").out == command("--show-completion", "fish").out
    monkeypatch.delenv("SHELL")
    outcome = command("--show-completion")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(
        "error[U01] your shell could not be detected. Fix: name one of bash, zsh, fish"
    )


def test_unsupported_shell_is_a_one_line_error(command: Callable[..., Any]) -> None:
    outcome = command("--install-completion", "tcsh")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error[U01] there is no completion for the shell 'tcsh'. Fix: ")
    assert outcome.err.count("\n") == 1
