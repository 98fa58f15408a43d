"""Errors: one class per family, with an exit code for each class and an explanation for each error code.

    LlmkitError                   1   base class, never raised itself
    +-- UserError                 2   the user can fix it: one line per error, with its place and a fix
    |   +-- RecipeError               C.. U..  a recipe, an override or an option
    |   +-- DataError                 F.. J.. L.. N.. Q..  a file, a row, a text, a label
    |   +-- ModelError                M.. S..  a checkpoint, a tokenizer, a chat template
    |   +-- AssetError                A..  a download
    |   +-- RunError                  R..  a run folder, resuming
    |   +-- TrainingError             T..  a loss or gradient that must not be used
    +-- StorageError             74   W..  the disk is full, or writing failed
    +-- Stopped                  75   stopped by a signal after a save; can be resumed
        +-- Interrupted         130   stopped by Ctrl-C after a save; can be resumed

Ctrl-C with nothing to save also exits with 130. A bug in llmkit exits with 1.
"""

from __future__ import annotations

from llmkit.base.errors import asset, data, evaluation, model, recipe, run, storage, training
from llmkit.base.errors._base import (
    MAX_LINES,
    ErrorDetail,
    Interrupted,
    LlmkitError,
    Stopped,
    UserError,
    raise_if,
    shorten_list,
    suggest,
)
from llmkit.base.errors.asset import AssetError
from llmkit.base.errors.data import DataError
from llmkit.base.errors.model import ModelError
from llmkit.base.errors.recipe import RecipeError
from llmkit.base.errors.run import RunError
from llmkit.base.errors.storage import StorageError
from llmkit.base.errors.training import TrainingError

__all__ = [
    "EXPLANATIONS",
    "MAX_LINES",
    "AssetError",
    "DataError",
    "ErrorDetail",
    "Interrupted",
    "LlmkitError",
    "ModelError",
    "RecipeError",
    "RunError",
    "Stopped",
    "StorageError",
    "TrainingError",
    "UserError",
    "raise_if",
    "shorten_list",
    "suggest",
]

FAMILIES = (recipe, data, model, asset, run, training, evaluation, storage)
EXPLANATIONS: dict[str, tuple[str, str]] = {
    code: explanation for family in FAMILIES for code, explanation in family.EXPLANATIONS.items()
}
"""Error code -> (title, explanation), for `llmkit explain-error`."""
