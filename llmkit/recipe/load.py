"""Load a recipe: read a file, apply the overrides, check everything and report all errors together.

    recipe = load("sentiment", ["train.epochs=1"], task_names=tasks.names(), task_options=tasks.options)

File and command line are two layers, and a key on the command line replaces the same key of the file. Two keys that
exclude each other are an error within one layer; across the layers, the key of the command line wins. The loaded
recipe holds every default, those of the task's options included, so the recipe.yaml of a run describes it completely.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from llmkit.base.errors import RecipeError, raise_if, suggest
from llmkit.recipe import packaged, yaml
from llmkit.recipe.describe import collect_sections, format_schema
from llmkit.recipe.schema import Recipe
from llmkit.recipe.translate_errors import (
    Context,
    Place,
    PlacedError,
    report_missing_key,
    translate_validation_error,
)
from llmkit.recipe.yaml import Document, KeyPath, Mark

__all__ = ["compute_digest", "dump", "format_schema", "list_differences", "load"]

EPOCHS, STEPS = ("train", "epochs"), ("train", "max_steps")
# Overriding the first key removes the other keys from the file.
DISPLACED: dict[KeyPath, list[KeyPath]] = {
    EPOCHS: [STEPS],
    STEPS: [EPOCHS],
    ("data", "train"): [("data", "validation"), ("data", "test")],  # they belong to the replaced data
}


@dataclass(frozen=True)
class _Override:
    """A KEY=VALUE of the command line."""

    place: Place
    path: KeyPath
    value: Any


def load(
    source: str,
    overrides: Sequence[str] = (),
    *,
    task_names: Sequence[str],
    task_options: Callable[[str], type[BaseModel]],
) -> Recipe:
    """Load a packaged recipe or a YAML file, apply the overrides and check the result.

    Args:
        source: Name of a packaged recipe, or path of a YAML file.
        overrides: Settings of the form `a.b.c=VALUE`.
        task_names: Names of all tasks.
        task_options: Returns the model of a task's own options, by the task's name.

    Raises:
        RecipeError: C01 to C15, with all errors: first those of the file from top to bottom, then those of the
            overrides.
    """
    file = Path(source) if _is_path(source) else packaged.find_path(source)
    document = yaml.read(file, source if _is_path(source) else str(file))
    errors = [PlacedError(_make_place(document, mark), detail) for mark, detail in document.repeated_keys]
    settings = _parse_overrides(overrides, errors)
    content = _merge(document, settings, errors)
    task = content.get("task")
    task_name = task.get("name") if isinstance(task, dict) else None
    options = task_options(task_name) if isinstance(task_name, str) and task_name in task_names else None
    sections = collect_sections(Recipe) | (collect_sections(options, ("task",)) if options else {})
    context = Context(content, sections, lambda path, of_key: _find_place(path, of_key, document, settings))
    errors += _check_train_and_model(context)
    errors += _check_task(context, options, task_names)
    recipe = None
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        errors += translate_validation_error(error, (), context)
    raise_if([error.detail for error in sorted(errors, key=lambda error: error.place)], RecipeError)
    assert recipe is not None, "without errors, the recipe was validated"
    return recipe


def dump(recipe: Recipe) -> str:
    """Return the recipe as YAML with every default. `load` reads it back to an equal recipe."""
    return yaml.dump(recipe.model_dump(mode="json"))


def compute_digest(recipe: Recipe) -> str:
    """Return the SHA-256 (hex) of the recipe as canonical JSON: equal for equal settings, however they were written."""
    content = recipe.model_dump(mode="json")
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def list_differences(a: Recipe, b: Recipe) -> list[str]:
    """Return the dotted keys whose values differ."""

    def compare(a: Any, b: Any, name: str) -> Iterator[str]:
        if isinstance(a, dict) and isinstance(b, dict):
            for key in {**a, **b}:
                if key in a and key in b:
                    yield from compare(a[key], b[key], f"{name}.{key}" if name else key)
                else:
                    yield f"{name}.{key}"
        elif a != b:
            yield name

    return list(compare(a.model_dump(mode="json"), b.model_dump(mode="json"), ""))


def _is_path(source: str) -> bool:
    return "/" in source or os.sep in source or source.endswith((".yaml", ".yml")) or Path(source).is_file()


def _parse_overrides(texts: Sequence[str], errors: list[PlacedError]) -> list[_Override]:
    """Return the valid overrides; add an error for each of the others."""
    overrides: list[_Override] = []
    for number, text in enumerate(texts):
        shown = text.encode(errors="replace").decode()  # the command line may hold bytes that are not UTF-8
        place = Place((1, number, 0), shown)
        key, equals, value = text.partition("=")
        path = tuple(step.strip() for step in key.split("."))
        # Equal keys overlap, and so do a key and a section that contains it.
        earlier = next((other for other in overrides if all(a == b for a, b in zip(other.path, path))), None)
        if not equals or not all(path):
            errors.append(place.error("C13", "not of the form KEY=VALUE", "write e.g. train.epochs=1"))
        elif not value.strip():
            errors.append(place.error("C13", "the value is missing", f"write e.g. {key}=null"))
        elif earlier:
            message = f"{earlier.place.text} sets the same key"
            errors.append(place.error("C02", message, "keep one of them"))
        else:
            try:
                overrides.append(_Override(place, path, yaml.parse_value(value, shown)))
            except RecipeError as error:
                errors += [PlacedError(place, detail) for detail in error.details]
    return overrides


def _merge(document: Document, overrides: list[_Override], errors: list[PlacedError]) -> dict[str, Any]:
    """Return the content of the file with the overrides applied."""
    content = copy.deepcopy(document.value)
    for override in overrides:
        for path in DISPLACED.get(override.path, []):
            if override.value is not None:
                _set_value(content, path, None)
    for override in overrides:
        if not _set_value(content, override.path, override.value):
            message = f"{'.'.join(map(str, override.path[:-1]))} is not a section in {document.name}"
            errors.append(override.place.error("C08", message, "correct the file or the override"))
    return content


def _set_value(content: dict[str, Any], path: KeyPath, value: Any) -> bool:
    """Set a value and create the sections above it; return False if one of these is not a section in the file."""
    *sections, last = map(str, path)
    for key in sections:
        if content.get(key) is None:
            content[key] = {}
        if not isinstance(content[key], dict):
            return False
        content = content[key]
    content[last] = value
    return True


def _check_train_and_model(context: Context) -> Iterator[PlacedError]:
    """Check two rules about several keys that pydantic would check only if the rest of their section is valid."""
    train = context.content.get("train")
    if isinstance(train, dict) and train.get("epochs") is not None and train.get("max_steps") is not None:
        place = max(context.find_place(EPOCHS, True), context.find_place(STEPS, True))
        yield place.error("C10", "train.epochs and train.max_steps exclude each other", "keep one of them")
        del train["epochs"]  # so that pydantic does not report it again
    model = context.content.get("model")
    if isinstance(model, dict) and model.get("name") is None and model.get("from_scratch") is None:
        yield report_missing_key(("model", "name"), context)


def _check_task(
    context: Context, options: type[BaseModel] | None, task_names: Sequence[str]
) -> Iterator[PlacedError]:
    """Report a missing or unknown name of the task and invalid options; add the defaults of the options to the content.

    Args:
        context: The recipe.
        options: The model of the task's options; None if the task is unknown.
        task_names: Names of all tasks.
    """
    path = ("task", "name")
    task = context.content.get("task")
    if not isinstance(task, dict):
        return  # validating the recipe reports it
    name = task.get("name")
    if name is None:
        yield report_missing_key(path, context)
    elif options is None:
        message = f'there is no task "{name}"{suggest(str(name), task_names)}'
        fix = f"choose one of {', '.join(task_names)}"
        yield context.find_place(path, False).error("C09", message, fix)
    else:
        try:
            validated = options.model_validate({key: value for key, value in task.items() if key != "name"})
            context.content["task"] = {"name": name, **validated.model_dump()}
        except ValidationError as error:
            yield from translate_validation_error(error, ("task",), context)


def _find_place(path: KeyPath, of_key: bool, document: Document, overrides: list[_Override]) -> Place:
    """Return the place of a key or of its value; if the key is missing, that of the section it belongs to."""
    for override in overrides:
        if path[: len(override.path)] == override.path:
            return override.place
    for depth in range(len(path), 0, -1):
        marks = document.keys if of_key or depth < len(path) else document.values
        if path[:depth] in marks:
            return _make_place(document, marks[path[:depth]])
        for override in overrides:
            if override.path[:depth] == path[:depth]:
                return override.place
    return _make_place(document, document.values[()])


def _make_place(document: Document, mark: Mark) -> Place:
    return Place((0, *mark), f"{document.name}:{mark[0]}:{mark[1]}")
