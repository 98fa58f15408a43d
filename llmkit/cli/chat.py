"""`llmkit chat RUN_OR_MODEL`"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Annotated

import typer

from llmkit.cli.completion import suggest_runs

__all__ = ["chat"]

HELP = "/reset starts a new conversation, /exit or Ctrl-D quits, Ctrl-C stops an answer"


def chat(
    target: Annotated[
        str,
        typer.Argument(
            metavar="RUN_OR_MODEL",
            help="A chat run, a model folder, a Hub id or index:NAME.",
            autocompletion=suggest_runs,
        ),
    ],
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="System message (default: the one used in training).")
    ] = None,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Maximum length of an answer in tokens (default: as in training)."),
    ] = None,
    temperature: Annotated[
        float, typer.Option(min=0.0, help="Sampling temperature; 0 always takes the most probable token.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for sampling.")] = 1,
) -> None:
    """Chat with a model in the terminal. Answers are streamed, and the model sees the conversation so far."""
    from llmkit.cli import show
    from llmkit.commands import chat as workflow

    with show.progress() as progress:
        dialogue = workflow.start(
            target,
            system=system,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=seed,
            progress=progress,
        )
    if sys.stdin.isatty():
        typer.echo(HELP, err=True)
    for line in _read_lines():
        if line == "/exit":
            return
        if line == "/reset":
            dialogue.reset()
            typer.echo("new conversation", err=True)
        elif line:
            with closing(dialogue.ask(line)) as pieces:
                try:
                    for piece in pieces:
                        typer.echo(piece, nl=False)
                        sys.stdout.flush()
                except KeyboardInterrupt:
                    typer.echo(" (stopped)", nl=False, err=True)
            typer.echo()
            for note in dialogue.notes:
                if note.startswith("conversations truncated"):
                    typer.echo(f"({note})", err=True)


def _read_lines() -> Iterator[str]:
    """Yield the user's lines until Ctrl-D; Ctrl-C discards the current line."""
    prompt = "> " if sys.stdin.isatty() else ""
    if prompt:
        import readline  # noqa: F401  gives input() line editing and history
    while True:
        try:
            yield input(prompt).strip()
        except EOFError:
            typer.echo(err=True)
            return
        except KeyboardInterrupt:
            typer.echo(f"\n{HELP}", err=True)
