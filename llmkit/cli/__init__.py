"""The command line: parse, call one workflow, print. Everything heavy is imported inside the commands.

stdout is the result, stderr the progress. Exit codes: 0 done, 2 the user's mistake, 74 disk, 75 stopped and saved,
130 Ctrl-C, 1 a bug of ours (with a file that says where).
"""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import typer

from llmkit import processes
from llmkit.errors import LlmkitError, Problem

__all__ = ["app", "main"]

app = typer.Typer(
    name="llmkit",
    help="Fine-tune and pretrain BERT- and GPT-type checkpoints, with results you can trust.",
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version and leave.")) -> None:
    if version:
        from llmkit import __version__

        typer.echo(f"llmkit {__version__}")
        raise typer.Exit


def _register() -> None:
    from llmkit.cli import compare, doctor, evaluate, explain_error, finetune, predict, recipes, runs

    app.command("finetune", no_args_is_help=True)(finetune.finetune)
    app.command("evaluate", no_args_is_help=True)(evaluate.evaluate)
    app.command("predict", no_args_is_help=True)(predict.predict)
    app.command("compare", no_args_is_help=True)(compare.compare)
    app.add_typer(recipes.app, name="recipes")
    app.add_typer(runs.app, name="runs")
    app.command("doctor")(doctor.doctor)
    app.command("explain-error", no_args_is_help=True)(explain_error.explain_error)


_register()


def main() -> NoReturn:
    """Run the command line and leave with its exit code; never a traceback for a user's mistake."""
    os.environ.setdefault(
        "TOKENIZERS_PARALLELISM", "true"
    )  # or a fork later makes tokenizers print a warning
    sys.exit(_run())


def _run() -> int:
    try:
        outcome: Any = app(standalone_mode=False)
        return outcome if isinstance(outcome, int) else 0
    except LlmkitError as error:
        _say(error.lines())
        return error.exit_code
    except typer.BadParameter.__bases__[0] as error:  # any usage error: typer names the class in private only
        message = error.format_message().rstrip(".")
        _say([str(Problem("U01", "", message, "`llmkit COMMAND --help` shows what it takes"))])
        return 2
    except (KeyboardInterrupt, typer.Abort) as stop:
        _say([str(stop) or "stopped"])
        return 130
    except BrokenPipeError:  # the reader of a pipe has gone (`llmkit ... | head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from llmkit.cli.bug import report

        _say([report(error)])
        return 1


def _say(lines: list[str]) -> None:
    if processes.is_main():
        for line in lines:
            typer.echo(line, err=True)
