"""`llmkit check RECIPE [KEY=VALUE ...] [--show-mask]`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from llmkit.cli.completion import suggest_recipes

__all__ = ["check"]


def check(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="A packaged recipe (`llmkit recipes list`) or a YAML file.",
            autocompletion=suggest_recipes,
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Override recipe settings, e.g. train.max_length=512."),
    ] = None,
    show_mask: Annotated[
        bool,
        typer.Option(
            "--show-mask", help="Print the first training example and mark the tokens that the loss covers."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as one JSON object.")] = False,
) -> None:
    """Check a recipe and its data as a run would before its first step, and print the plan."""
    from llmkit.cli import show
    from llmkit.cli.finetune import print_plan
    from llmkit.commands import finetune
    from llmkit.recipe import packaged

    pretrains = recipe in packaged.list_names() and packaged.find_kind(recipe) == "pretrain"
    command: packaged.Kind = "pretrain" if pretrains else "finetune"
    with show.progress() as progress:
        plan = finetune.finetune(recipe, overrides or [], dry_run=True, progress=progress, command=command)
    if as_json:
        show.print_json(plan)
        return
    print_plan(plan)
    if show_mask:
        _print_mask(plan["mask"])


def _print_mask(pieces: list[dict[str, Any]]) -> None:
    """Print the text that the loss covers in green, or between « and » where the output is not a terminal."""
    from rich.text import Text

    from llmkit.cli import show

    console = show.console()
    if not pieces:
        console.print("\nthis task does not train on tokens of text, so there is no mask to show")
        return
    marks = ("", "") if console.is_terminal else ("«", "»")
    text = Text()
    for piece in pieces:
        learned = piece["learned"]
        shown = f"{marks[0]}{piece['text']}{marks[1]}" if learned else piece["text"]
        text.append(shown, style="bold green" if learned else "dim")
    count = sum(piece["tokens"] for piece in pieces if piece["learned"])
    total = sum(piece["tokens"] for piece in pieces)
    console.print(f"\nfirst training example: the loss covers {count:,} of {total:,} tokens")
    console.print(text, soft_wrap=True)
