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
CURRENT = "current"  # the shell that llmkit was started from


def fill_in_shell(arguments: list[str]) -> list[str]:
    """Add the value CURRENT to --install-completion or --show-completion where the user names no shell."""
    names_no_shell = arguments in (["--install-completion"], ["--show-completion"])
    return [*arguments, CURRENT] if names_no_shell else arguments


def install_script(shell: str) -> str:
    """Install the completion script of the shell, and return a message that names the file."""
    from typer.completion import install  # type: ignore[attr-defined]

    shell, path = install(_resolve(shell), "llmkit", VARIABLE)
    return f"{shell} completion installed in {path}; it takes effect in new shells"


def make_script(shell: str) -> str:
    """Return the completion script of the shell."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    return str(get_completion_script(prog_name="llmkit", complete_var=VARIABLE, shell=_resolve(shell)))


def print_suggestions(command: Any) -> int:
    """Print the suggestions for the command line in the environment variables of the installed script.

    Returns:
        The exit code.
    """
    from typer.completion import completion_init, shell_complete  # type: ignore[attr-defined]

    completion_init()
    try:
        return shell_complete(command, {}, "llmkit", VARIABLE, os.environ[VARIABLE])
    except OSError:  # a folder without read permission: nothing to suggest
        return 1


def suggest_recipes(incomplete: str) -> list[str]:
    """Return the packaged recipes and the YAML files whose names begin with the incomplete word."""
    from llmkit.recipe import packaged

    paths = [path for path in _list_paths(incomplete) if path.endswith(("/", ".yaml", ".yml"))]
    return [name for name in packaged.list_names() if name.startswith(incomplete)] + paths


def suggest_runs(incomplete: str) -> list[str]:
    """Return the run folders, or the parent folders of runs, whose paths begin with the incomplete word."""
    from llmkit.base.run import RUNS, Run, find_runs

    if str(RUNS).startswith(incomplete) or incomplete.startswith(f"{RUNS}{os.sep}"):
        runs = [str(run.path) for run in find_runs() if str(run.path).startswith(incomplete)]
        if runs:
            return runs
    folders = [path for path in _list_paths(incomplete) if path.endswith("/")]
    return [path.rstrip("/") if Run(Path(path)).exists else path for path in folders]


def suggest_error_codes(incomplete: str) -> list[tuple[str, str]]:
    """Return the error codes that begin with the incomplete word, each with its title."""
    return [(code, title) for code, (title, _) in EXPLANATIONS.items() if code.startswith(incomplete)]


def _list_paths(incomplete: str) -> list[str]:
    """Return the files and folders whose paths begin with the incomplete word; folders end in a slash."""
    folder, slash, start = incomplete.rpartition("/")
    parent = Path(folder + slash)
    paths = [path for path in parent.iterdir() if path.name.startswith(start)] if parent.is_dir() else []
    visible = [path for path in paths if start or not path.name.startswith(".")]
    return sorted(f"{folder}{slash}{path.name}{'/' if path.is_dir() else ''}" for path in visible)


def _resolve(shell: str) -> str:
    """Return the name of a shell, replacing CURRENT with the shell that llmkit was started from.

    That is the shell of the parent process or, where it cannot be detected, the login shell.

    Raises:
        RecipeError: U01, for a shell without completion, or when no shell was detected.
    """
    if shell == CURRENT:
        import shellingham

        try:
            shell = str(shellingham.detect_shell()[0])
        except shellingham.ShellDetectionFailure:
            shell = Path(os.environ.get("SHELL", "")).name
    if shell in SHELLS:
        return shell
    message = (
        f"there is no completion for the shell {shell!r}" if shell else "your shell could not be detected"
    )
    fix = f"name one of {', '.join(SHELLS)}, e.g. --show-completion bash"
    raise RecipeError("U01", "", message, fix)
