"""Shell completion: install it, print its script, and suggest the words that Tab offers.

Suggestions are computed in a new process for each press of Tab, so nothing heavy is imported here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from llmkit.base.errors import EXPLANATIONS, RecipeError

__all__ = [
    "SHELLS",
    "VARIABLE",
    "fill_in_shell",
    "install_script",
    "make_script",
    "print_suggestions",
    "suggest_error_codes",
    "suggest_recipes",
    "suggest_runs",
]

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_LLMKIT_COMPLETE"  # set by the installed script when Tab is pressed
CURRENT = "current"  # stands for the shell that llmkit was started from


def fill_in_shell(arguments: list[str]) -> list[str]:
    """Give --install-completion and --show-completion a value where the command line names no shell."""
    alone = arguments in (["--install-completion"], ["--show-completion"])
    return [*arguments, CURRENT] if alone else arguments


def install_script(shell: str) -> str:
    """Install the completion script for the shell. Returns a line that says where it was written."""
    from typer.completion import install  # type: ignore[attr-defined]

    shell, path = install(_resolve(shell), "llmkit", VARIABLE)
    return f"{shell} completion installed in {path}; it takes effect in new shells"


def make_script(shell: str) -> str:
    """Return the completion script of the shell."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    return str(get_completion_script(prog_name="llmkit", complete_var=VARIABLE, shell=_resolve(shell)))


def print_suggestions(command: Any) -> int:
    """Print the suggestions that the installed script asks for in environment variables. Returns the exit code."""
    from typer.completion import completion_init, shell_complete  # type: ignore[attr-defined]

    completion_init()
    try:
        return shell_complete(command, {}, "llmkit", VARIABLE, os.environ[VARIABLE])
    except OSError:  # a folder that may not be read: nothing to suggest
        return 1


def suggest_recipes(incomplete: str) -> list[str]:
    """Packaged recipes and YAML files whose name begins with the incomplete word."""
    from llmkit.recipe import packaged

    here = [path for path in _paths(incomplete) if path.endswith(("/", ".yaml", ".yml"))]
    return [name for name in packaged.list_names() if name.startswith(incomplete)] + here


def suggest_runs(incomplete: str) -> list[str]:
    """Run folders, or folders on the way to one, whose path begins with the incomplete word."""
    from llmkit.base.run import RUNS, Run, find_runs

    if str(RUNS).startswith(incomplete) or incomplete.startswith(f"{RUNS}{os.sep}"):
        found = [str(run.path) for run in find_runs() if str(run.path).startswith(incomplete)]
        if found:
            return found
    folders = [path for path in _paths(incomplete) if path.endswith("/")]
    return [path.rstrip("/") if Run(Path(path)).exists else path for path in folders]


def suggest_error_codes(incomplete: str) -> list[tuple[str, str]]:
    """Error codes that begin with the incomplete word, each with its title."""
    return [(code, title) for code, (title, _) in EXPLANATIONS.items() if code.startswith(incomplete)]


def _paths(incomplete: str) -> list[str]:
    """Files and folders whose path begins with the incomplete word; folders end in a slash."""
    folder, slash, start = incomplete.rpartition("/")
    parent = Path(folder + slash)
    found = [path for path in parent.iterdir() if path.name.startswith(start)] if parent.is_dir() else []
    shown = [path for path in found if start or not path.name.startswith(".")]
    return sorted(f"{folder}{slash}{path.name}{'/' if path.is_dir() else ''}" for path in shown)


def _resolve(shell: str) -> str:
    """The shell's name; for CURRENT, the one that llmkit was started from. Raises RecipeError U01 for others."""
    if shell == CURRENT:
        shell = _detect()
    if shell not in SHELLS:
        raise RecipeError(
            "U01",
            "",
            f"there is no completion for the shell {shell!r}"
            if shell
            else "your shell could not be detected",
            f"name one of {', '.join(SHELLS)}, e.g. --show-completion bash",
        )
    return shell


def _detect() -> str:
    """The parent process's shell, else the login shell; empty where neither is known."""
    import shellingham

    try:
        return str(shellingham.detect_shell()[0])
    except shellingham.ShellDetectionFailure:
        return Path(os.environ.get("SHELL", "")).name
