"""From a name or a file, and overrides, to a Recipe; every mistake in one go.

    recipe = load("sentiment", ["train.epochs=1"], task_names=tasks.names(), task_options=tasks.options)

File and command line are two layers: the command line wins key by key. Two keys that exclude each other in
one layer are a mistake; across the layers the command line's stands. The result holds every default, the
task's too, so that the resolved recipe of a run says all of what was done.
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

from llmkit.base.errors import ErrorDetail, RecipeError, raise_if, suggest
from llmkit.recipe import packaged, yaml
from llmkit.recipe.describe import collect_sections, format_schema
from llmkit.recipe.schema import Recipe
from llmkit.recipe.translate_errors import Context, Place, report_missing_key, translate_validation_error
from llmkit.recipe.yaml import Document, KeyPath, Mark

__all__ = ["compute_digest", "dump", "format_schema", "list_differences", "load"]

EPOCHS, STEPS = ("train", "epochs"), ("train", "max_steps")
# The keys of a file that an override of the first key sets aside.
DISPLACED: dict[KeyPath, list[KeyPath]] = {
    EPOCHS: [STEPS],
    STEPS: [EPOCHS],
    ("data", "train"): [("data", "validation"), ("data", "test")],  # they belonged to the other corpus
}

Found = list[tuple[Place, ErrorDetail]]


@dataclass(frozen=True)
class _Override:
    place: Place
    where: KeyPath
    value: Any


def load(
    source: str,
    overrides: Sequence[str] = (),
    *,
    task_names: Sequence[str],
    task_options: Callable[[str], type[BaseModel]],
) -> Recipe:
    """Read a packaged recipe (by name) or a YAML file (by path), change it by `a.b.c=VALUE`, check it whole.

    task_options(name) is the model of a task's own options. Raises RecipeError with all problems (C01 to C15)
    in the order of their places: the file from top to bottom, then the overrides.
    """
    file = Path(source) if _is_path(source) else packaged.find_path(source)
    document = yaml.read(file, source if _is_path(source) else str(file))
    found: Found = [(_place(document, mark), problem) for mark, problem in document.problems]
    settings = _read_overrides(overrides, found)
    content = _merge(document, settings, found)
    options = _options(content, task_names, task_options)
    known = collect_sections(Recipe) | (collect_sections(options, ("task",)) if options else {})
    context = Context(content, known, lambda where, of_key: _find(where, of_key, document, settings))
    _check_durations(context, found)
    _check_start(context, found)
    recipe = _validate(context, options, task_names, found)
    raise_if([problem for _, problem in sorted(found, key=lambda pair: pair[0])], RecipeError)
    assert recipe is not None  # there is one where nothing was found wrong
    return recipe


def dump(recipe: Recipe) -> str:
    """The recipe as YAML with every default; `load` reads it back to an equal recipe."""
    return yaml.dump(recipe.model_dump(mode="json"))


def compute_digest(recipe: Recipe) -> str:
    """SHA-256 (hex) of the recipe as canonical JSON: a run's identity, whatever its file looked like."""
    content = recipe.model_dump(mode="json")
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def list_differences(a: Recipe, b: Recipe) -> list[str]:
    """The dotted keys whose values differ."""
    return list(_different(a.model_dump(mode="json"), b.model_dump(mode="json"), ""))


def _different(a: Any, b: Any, name: str) -> Iterator[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in {**a, **b}:
            if key in a and key in b:
                yield from _different(a[key], b[key], f"{name}.{key}" if name else key)
            else:
                yield f"{name}.{key}"
    elif a != b:
        yield name


def _is_path(source: str) -> bool:
    return "/" in source or os.sep in source or source.endswith((".yaml", ".yml")) or Path(source).is_file()


def _read_overrides(texts: Sequence[str], found: Found) -> list[_Override]:
    settings: list[_Override] = []
    for number, text in enumerate(texts):
        shown = text.encode(errors="replace").decode()  # bytes of the command line that are not UTF-8
        place = Place((1, number, 0), shown)
        key, equals, value = text.partition("=")
        where = tuple(part.strip() for part in key.split("."))
        twin = next((other for other in settings if _overlap(other.where, where)), None)
        if not equals or not all(where):
            found.append(
                (place, ErrorDetail("C13", shown, "this is no KEY=VALUE", "write e.g. train.epochs=1"))
            )
        elif not value.strip():
            found.append((place, ErrorDetail("C13", shown, "the value is missing", f"write e.g. {key}=null")))
        elif twin:
            message = f"{twin.place.text} sets the same key"
            found.append((place, ErrorDetail("C02", shown, message, "keep one of them")))
        else:
            try:
                settings.append(_Override(place, where, yaml.parse_value(value, shown)))
            except RecipeError as error:
                found += [(place, problem) for problem in error.details]
    return settings


def _overlap(a: KeyPath, b: KeyPath) -> bool:
    """Is one the other, or a section around it?"""
    shorter = min(len(a), len(b))
    return a[:shorter] == b[:shorter]


def _merge(document: Document, settings: list[_Override], found: Found) -> dict[str, Any]:
    """The content of the file with the overrides put in."""
    content = copy.deepcopy(document.value)
    for setting in settings:
        for where in DISPLACED.get(setting.where, []):
            if setting.value is not None:
                _put(content, where, None)
    for setting in settings:
        if not _put(content, setting.where, setting.value):
            message = f"{'.'.join(map(str, setting.where[:-1]))} is no section in {document.name}"
            found.append(
                (setting.place, ErrorDetail("C08", setting.place.text, message, "correct one of the two"))
            )
    return content


def _put(content: dict[str, Any], where: KeyPath, value: Any) -> bool:
    """Set a value, making the sections on the way; False where something else stands in the way."""
    *way, last = map(str, where)
    for key in way:
        if content.get(key) is None:
            content[key] = {}
        if not isinstance(content[key], dict):
            return False
        content = content[key]
    content[last] = value
    return True


def _options(
    content: dict[str, Any], task_names: Sequence[str], task_options: Callable[[str], type[BaseModel]]
) -> type[BaseModel] | None:
    """The model of the task's options, or None where the recipe names no known task."""
    task = content.get("task")
    name = task.get("name") if isinstance(task, dict) else None
    return task_options(name) if isinstance(name, str) and name in task_names else None


def _validate(
    context: Context, options: type[BaseModel] | None, task_names: Sequence[str], found: Found
) -> Recipe | None:
    content = context.content
    if options is None:
        found += _unknown_task(context, task_names)
    else:
        name, given = content["task"]["name"], {k: v for k, v in content["task"].items() if k != "name"}
        try:
            content = {**content, "task": {"name": name, **options.model_validate(given).model_dump()}}
        except ValidationError as error:
            found += translate_validation_error(error, ("task",), context)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        found += translate_validation_error(error, (), context)
        return None


def _unknown_task(context: Context, task_names: Sequence[str]) -> Found:
    where = ("task", "name")
    task = context.content.get("task")
    if not isinstance(task, dict):
        return []  # the schema's own check speaks
    name = task.get("name")
    if name is None:
        return [report_missing_key(where, context)]
    place = context.place(where, False)
    message = f'there is no task "{name}"{suggest(str(name), task_names)}'
    return [(place, ErrorDetail("C09", place.text, message, f"choose one of {', '.join(task_names)}"))]


def _check_durations(context: Context, found: Found) -> None:
    """Both durations in one layer. Told here: pydantic checks a section only when its parts are right."""
    train = context.content.get("train")
    if not isinstance(train, dict) or train.get("epochs") is None or train.get("max_steps") is None:
        return
    place = max(context.place(EPOCHS, True), context.place(STEPS, True))
    message = "train.epochs and train.max_steps exclude each other"
    found.append((place, ErrorDetail("C10", place.text, message, "keep one of them")))
    del train["epochs"]


def _check_start(context: Context, found: Found) -> None:
    """Neither a checkpoint nor a model from scratch."""
    model = context.content.get("model")
    if isinstance(model, dict) and model.get("name") is None and model.get("from_scratch") is None:
        found.append(report_missing_key(("model", "name"), context))


def _find(where: KeyPath, of_key: bool, document: Document, settings: list[_Override]) -> Place:
    """The place of a key or its value, or else of the section it belongs in."""
    for setting in settings:
        if where[: len(setting.where)] == setting.where:
            return setting.place
    for depth in range(len(where), 0, -1):
        marks = document.keys if of_key or depth < len(where) else document.values
        if where[:depth] in marks:
            return _place(document, marks[where[:depth]])
        for setting in settings:
            if setting.where[:depth] == where[:depth]:
                return setting.place
    return _place(document, document.values[()])


def _place(document: Document, mark: Mark) -> Place:
    return Place((0, *mark), f"{document.name}:{mark[0]}:{mark[1]}")
