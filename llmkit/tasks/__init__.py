"""The tasks. The folder is the registry: a module here whose name has no underscore is a task.

A task module holds `Options` (what the recipe's task section may say beside `name`) and `make(options, tuned)`,
which gives an object that keeps the protocol in `protocol.py`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

    from llmkit.tasks.protocol import Task

__all__ = ["load", "names", "options"]


def names() -> list[str]:
    """Names of all tasks, without importing them."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in found if not name.startswith("_") and name != "protocol")


def options(name: str) -> type[BaseModel]:
    """What the recipe's task section may say beside `name`, which must be one of `names()`."""
    found: type[BaseModel] = _module(name).Options
    return found


def load(settings: Mapping[str, Any], tuned: Mapping[str, Any] | None = None) -> Task:
    """The task of a recipe's (or a model card's) task section; tuned is what `Task.tune` found before."""
    chosen = options(settings["name"]).model_validate({k: v for k, v in settings.items() if k != "name"})
    task: Task = _module(settings["name"]).make(chosen, tuned or {})
    return task


def _module(name: str) -> Any:
    assert name in names(), name
    return import_module(f"{__name__}.{name}")
