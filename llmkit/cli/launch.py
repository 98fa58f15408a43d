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
        message, fix = (
            "no command to launch",
            "name a command, e.g. llmkit launch --processes 2 finetune sentiment",
        )
        raise RecipeError("U01", "", message, fix)
    raise typer.Exit(launcher.launch(context.args, processes or _devices()))


def _devices() -> int:
    import torch

    return torch.accelerator.device_count() if torch.accelerator.is_available() else 1
