"""The command line: parse the arguments, call one function of `commands`, print its result.

Heavy libraries are imported inside the commands. Results go to stdout, progress to stderr. Exit codes: 0 done, 2 user
error, 3 a gate failed, 74 storage, 75 stopped after a save, 130 Ctrl-C, 141 closed pipe, 1 a bug in llmkit (which
writes a file to report).
"""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import typer
from typer.main import get_command

from llmkit.base import processes
from llmkit.base.errors import ErrorDetail, LlmkitError
from llmkit.cli import completion
from llmkit.cli.commands import Root

__all__ = ["app", "main"]

# The base class of usage errors, which typer does not export.
UsageError: Any = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="llmkit",
    cls=Root,
    help="Fine-tune and pretrain BERT- and GPT-type checkpoints, with results you can trust.",
    rich_markup_mode=None,
    add_completion=False,  # the options of _root accept the name of a shell, which typer's own do not
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
    install_completion: str | None = typer.Option(
        None, metavar="[SHELL]", help="Install completion for bash, zsh or fish (default: the current shell)."
    ),
    show_completion: str | None = typer.Option(
        None, metavar="[SHELL]", help="Print the completion script, to install it yourself."
    ),
) -> None:
    if version:
        from llmkit import __version__

        typer.echo(f"llmkit {__version__}")
    elif install_completion:
        typer.echo(completion.install_script(install_completion))
    elif show_completion:
        typer.echo(completion.make_script(show_completion))
    else:
        return
    raise typer.Exit


def main() -> NoReturn:
    """Run the command line and exit with its exit code. A user error never prints a traceback."""
    # Without this, tokenizers prints a warning when a process forks later.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    if completion.VARIABLE in os.environ:
        sys.exit(completion.print_suggestions(get_command(app)))
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    """Run a command and return its exit code; errors are printed to stderr."""
    command = get_command(app)
    try:
        # Not `app()`, which swallows the message of a KeyboardInterrupt and broken pipes.
        with command.make_context("llmkit", completion.fill_in_shell(arguments)) as context:
            command.invoke(context)
        sys.stdout.flush()  # so that a broken pipe is noticed here, not when the interpreter exits
    except LlmkitError as error:
        _print_lines(error.lines())
        return error.exit_code
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # not exported either; its message is the help text
            _print_lines([error.format_message()])
            return 2
        name = error.ctx.command_path if error.ctx else "llmkit"
        message, fix = error.format_message().rstrip("."), f"run `{name} --help` to see the options"
        _print_lines([str(ErrorDetail("U01", "", message, fix))])
        return 2
    except typer.Exit as done:  # --version, --help
        return done.exit_code
    except KeyboardInterrupt as stop:
        _print_lines([str(stop) or "stopped"])
        return 130
    except BrokenPipeError:  # the reader closed the pipe (`llmkit ... | head`)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):  # otherwise Python fails when it flushes them at exit
            os.dup2(nowhere, stream.fileno())
        return 141
    except Exception as error:
        from llmkit.cli.bug import report

        typer.echo(report(error), err=True)  # on every process: the others may not have failed
        return 1
    return 0


def _print_lines(lines: list[str]) -> None:
    if processes.is_main():
        for line in lines:
            typer.echo(line, err=True)
