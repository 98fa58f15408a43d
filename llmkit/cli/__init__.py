"""The command line: parse, call one workflow, print. Everything heavy is imported inside the commands.

stdout is the result, stderr the progress. Exit codes: 0 done, 2 the user's mistake, 74 disk, 75 stopped and
saved, 130 Ctrl-C, 141 the reader of our output has gone, 1 a bug of ours (with a file that says where).
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

UsageError: Any = typer.BadParameter.__bases__[0]  # the root of all usage errors, which typer does not export

app = typer.Typer(
    name="llmkit",
    cls=Root,
    help="Fine-tune and pretrain BERT- and GPT-type checkpoints, with results you can trust.",
    rich_markup_mode=None,
    add_completion=False,  # its options take no name of a shell; those of _root do
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
    """Run the command line and leave with its exit code; never a traceback for a user's mistake."""
    os.environ.setdefault(
        "TOKENIZERS_PARALLELISM", "true"
    )  # or a fork later makes tokenizers print a warning
    if completion.VARIABLE in os.environ:
        sys.exit(completion.print_suggestions(get_command(app)))
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    """The exit code; whatever goes wrong is told in lines on stderr."""
    try:
        _invoke(arguments)
    except LlmkitError as error:
        _say(error.lines())
        return error.exit_code
    except UsageError as error:
        _say(_usage(error))
        return 2
    except typer.Exit as done:  # --version, --help
        return done.exit_code
    except KeyboardInterrupt as stop:
        _say([str(stop) or "stopped"])
        return 130
    except BrokenPipeError:  # the reader of a pipe has gone (`llmkit ... | head`)
        _close_outputs()
        return 141
    except Exception as error:
        from llmkit.cli.bug import report

        typer.echo(report(error), err=True)  # on any process: the others may not have met it
        return 1
    return 0


def _invoke(arguments: list[str]) -> None:
    """Not through `app()`, which would swallow the message of a KeyboardInterrupt and a broken pipe."""
    command = get_command(app)
    with command.make_context("llmkit", completion.fill_in_shell(arguments)) as context:
        command.invoke(context)
    sys.stdout.flush()  # a broken pipe is met here, not at the interpreter's end


def _usage(error: Any) -> list[str]:
    """One line; for a command without any argument its help."""
    if type(error).__name__ == "NoArgsIsHelpError":  # private too
        return [error.format_message()]
    command = error.ctx.command_path if error.ctx else "llmkit"
    message = error.format_message().rstrip(".")
    return [str(ErrorDetail("U01", "", message, f"`{command} --help` shows what it takes"))]


def _close_outputs() -> None:
    """Nothing more can be written, and Python would complain when it flushes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


def _say(lines: list[str]) -> None:
    if processes.is_main():
        for line in lines:
            typer.echo(line, err=True)
