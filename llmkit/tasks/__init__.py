"""The tasks. The folder is the registry: each module here is a task, except `protocol`.

A task module has `Options`, the keys of the recipe's task section beside `name`, and `make(options, tuned)`, which
returns an object with the members of `protocol.Task`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

    from llmkit.tasks.protocol import Task

__all__ = ["load", "names", "options"]


def names() -> list[str]:
    """Return the names of all tasks, without importing them."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in modules if not name.startswith("_") and name != "protocol")


def options(name: str) -> type[BaseModel]:
    """Return the options of a task: the keys of the recipe's task section beside `name`."""
    task_options: type[BaseModel] = _import(name).Options
    return task_options


def load(settings: Mapping[str, Any], tuned: Mapping[str, Any] | None = None) -> Task:
    """Make the task of a recipe's or a model card's task section.

    Args:
        settings: The section, with `name` and the task's options.
        tuned: What `Task.tune` returned for a trained model.
    """
    name = settings["name"]
    task_options = options(name).model_validate({key: v for key, v in settings.items() if key != "name"})
    task: Task = _import(name).make(task_options, tuned or {})
    return task


def _import(name: str) -> ModuleType:
    assert name in names(), name
    return import_module(f"{__name__}.{name}")
