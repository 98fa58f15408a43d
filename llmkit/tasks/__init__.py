"""The tasks. The folder is the registry: a module here whose name has no underscore is a task.

A task module ends with `TASK = ...`, an object that keeps the protocol in `_task.py`.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel

    from llmkit.tasks._task import Task

__all__ = ["load", "names", "options"]


def names() -> list[str]:
    """Names of all tasks, without importing them."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def load(name: str) -> Task:
    """The task of this name, which must be one of `names()`."""
    assert name in names(), name
    task: Task = import_module(f"{__name__}.{name}").TASK
    return task


def options(name: str) -> type[BaseModel]:
    """What the recipe's task section may say beside `name`."""
    return load(name).Options
