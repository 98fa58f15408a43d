"""The commands by name. Each is imported only when it is used: the main help needs one line of each."""

from __future__ import annotations

from collections import UserDict
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

__all__ = ["COMMANDS", "Root"]

COMMANDS = {
    "finetune": "Fine-tune a checkpoint on labelled data.",
    "pretrain": "Continue pretraining on plain text, or pretrain a new model.",
    "evaluate": "Evaluate a trained model on labelled data.",
    "score": "Score a file of predictions against references.",
    "predict": "Predict labels, spans, answers or text for new inputs.",
    "chat": "Chat with a model in the terminal.",
    "check": "Check a recipe and its data without training.",
    "embed": "Compute sentence embeddings, or find the most similar texts.",
    "launch": "Run a command in several processes on this machine.",
    "compare": "Compare two runs on the same test set.",
    "recipes": "List, show or copy the packaged recipes.",
    "runs": "List runs, or show the result of one.",
    "tokenizer": "Train a tokenizer, or show how one tokenizes a text.",
    "metrics": "List, describe or export metrics.",
    "doctor": "Check this machine: versions, speed, network and cache.",
    "explain-error": "Explain an error code.",
}
PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
SETTINGS: dict[str, dict[str, Any]] = {"launch": {"context_settings": PASS_THROUGH}}
NEEDS_NO_ARGUMENT = ("doctor",)  # the others print their help when called without one


class Root(TyperGroup):
    """The `llmkit` command itself."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands(dict.fromkeys(COMMANDS))

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


class _Commands(UserDict[str, Any]):
    """Commands by name. The first access builds a command, or a group of commands, from the module of its name."""

    def __getitem__(self, name: str) -> Any:
        if self.data[name] is None:
            identifier = name.replace("-", "_")
            module = import_module(f"llmkit.cli.{identifier}")
            if hasattr(module, "app"):
                module.app.info.name = name
                self.data[name] = get_group(module.app)
            else:
                app = typer.Typer(add_completion=False, rich_markup_mode=None)
                settings = SETTINGS.get(name, {})
                add = app.command(name, no_args_is_help=name not in NEEDS_NO_ARGUMENT, **settings)
                add(getattr(module, identifier))
                self.data[name] = get_command(app)
        return self.data[name]
