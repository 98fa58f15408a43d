"""`llmkit launch --processes N COMMAND ...`"""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["launch"]


def launch(
    context: typer.Context,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Number of processes (default: one per GPU).")
    ] = None,
) -> None:
    """Run a command in several processes on this machine, e.g. `llmkit launch --processes 2 finetune sentiment`."""
    from llmkit.base import launcher
    from llmkit.base.errors import RecipeError

    if not context.args:
        fix = "name a command, e.g. llmkit launch --processes 2 finetune sentiment"
        raise RecipeError("U01", "", "no command to launch", fix)
    if processes is None:
        import torch

        processes = torch.accelerator.device_count() if torch.accelerator.is_available() else 1
    raise typer.Exit(launcher.launch(context.args, processes))
