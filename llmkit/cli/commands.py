"""The commands by name, each imported and built when it is asked for: the help needs a line of each alone."""

from __future__ import annotations

from collections import UserDict
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

__all__ = ["COMMANDS", "Root"]

COMMANDS = {
    "finetune": "Train a checkpoint on labelled data.",
    "pretrain": "Go on with a checkpoint's pretraining on running text.",
    "evaluate": "Score a trained model, or a file of predictions.",
    "predict": "Answer texts, with probabilities, in the order they come.",
    "chat": "Talk to a model in the terminal.",
    "check": "Check a recipe and its data, as a run would before it trains.",
    "embed": "Turn texts into vectors, or find the texts nearest to one.",
    "launch": "Run a command in several processes on this machine.",
    "compare": "Compare two runs.",
    "recipes": "List, show or copy the packaged recipes.",
    "runs": "List runs, or show one again.",
    "tokenizer": "Learn a vocabulary from your texts, or see how one cuts.",
    "metrics": "Show what `llmkit evaluate --metric` can score, or export it.",
    "doctor": "Check this machine.",
    "explain-error": "Say what an error code means.",
}
PASSING_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
SETTINGS: dict[str, dict[str, Any]] = {"launch": {"context_settings": PASSING_ON}}
ALONE = ("doctor",)  # means something without an argument; the others print their help


class Root(TyperGroup):
    """`llmkit` itself."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands(dict.fromkeys(COMMANDS))

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


class _Commands(UserDict[str, Any]):
    def __getitem__(self, name: str) -> Any:
        if self.data[name] is None:
            self.data[name] = _build(name)
        return self.data[name]


def _build(name: str) -> Any:
    """The command in the module of its name, or the group of commands there."""
    own = name.replace("-", "_")
    module = import_module(f"llmkit.cli.{own}")
    if hasattr(module, "app"):
        module.app.info.name = name
        return get_group(module.app)
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    settings = SETTINGS.get(name, {})
    app.command(name, no_args_is_help=name not in ALONE, **settings)(getattr(module, own))
    return get_command(app)
