"""Describe the recipe schema in words: the allowed values of a key, and the table of `llmkit recipes show --schema`.

All words are derived from the pydantic models, so they always match the rules.

    describe_field(Train, "batch_size")        "an integer >= 1"
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from llmkit.recipe.schema import Recipe
from llmkit.recipe.yaml import KeyPath, dump

__all__ = [
    "Sections",
    "accepts_null",
    "collect_sections",
    "describe_field",
    "describe_item",
    "format_default",
    "format_schema",
    "list_choices",
]

Sections = dict[KeyPath, type[BaseModel]]  # by key path: ("model", "lora") -> Lora

TYPES: dict[Any, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    NoneType: "null",
    Any: "any value",
}
BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
COLUMNS = (28, 24, 8, 34)  # widths in characters of key, allowed values, default, meaning; 100 with the gaps


def collect_sections(model: type[BaseModel], prefix: KeyPath = ()) -> Sections:
    """Return the model and all models inside it, by their key paths in the recipe."""
    sections: Sections = {prefix: model}
    for name, field in model.model_fields.items():
        inner = _find_section(field.annotation)
        if inner is not None:
            sections |= collect_sections(inner, (*prefix, name))
    return sections


def describe_field(model: type[BaseModel], key: str) -> str:
    """Return the allowed values of a key, such as `a number >= 0 and < 1, or null`."""
    field = model.model_fields[key]
    return _describe(field.annotation, field.metadata)


def describe_item(model: type[BaseModel], key: str) -> str:
    """Return the allowed items of a key that holds a list or a mapping."""
    types = _split_union(model.model_fields[key].annotation)
    items = [get_args(item_type)[-1] for item_type in types if get_origin(item_type) in (list, dict)]
    return _describe(items[0], []) if items else "any value"


def list_choices(model: type[BaseModel], key: str) -> list[str]:
    """Return the words that a key allows; empty if it takes other values."""
    types = _split_union(model.model_fields[key].annotation)
    return [str(word) for choice in types if get_origin(choice) is Literal for word in get_args(choice)]


def accepts_null(model: type[BaseModel], key: str) -> bool:
    return NoneType in _split_union(model.model_fields[key].annotation)


def format_schema(task_options: Mapping[str, type[BaseModel]] | None = None) -> str:
    """Return a table of all keys with their allowed values, default and meaning, 100 characters wide.

    Args:
        task_options: Also list the options of these tasks; by task name.
    """
    lines: list[str] = []
    for path, model in collect_sections(Recipe).items():
        lines += _format_table(model, ".".join(map(str, path)))
        if path == ():
            for name, options in (task_options or {}).items():
                lines += _format_table(options, "task", f"task.name: {name}")
    return "\n".join(lines)


def _format_table(model: type[BaseModel], prefix: str, title: str = "") -> Iterator[str]:
    """Yield the lines of one section: a comment with its title and meaning, then its keys."""
    meaning = (model.__doc__ or "").strip().partition("\n")[0]
    yield from textwrap.wrap(f"# {title or prefix}: {meaning}" if title or prefix else f"# {meaning}", 100)
    for name, field in model.model_fields.items():
        if _find_section(field.annotation) is not None and not accepts_null(model, name):
            continue  # it has its own table
        key = f"{prefix}.{name}" if prefix else name
        meaning = " ".join((field.description or "").split())
        cells = [key, describe_field(model, name), format_default(field), meaning]
        wrapped = [textwrap.wrap(cell, width) for cell, width in zip(cells, COLUMNS)]
        for row in zip_longest(*wrapped, fillvalue=""):
            yield "  ".join(text.ljust(width) for text, width in zip(row, COLUMNS)).rstrip()
    yield ""


def format_default(field: FieldInfo) -> str:
    """Return the default of a field as it would be written in a recipe."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return dump(value).removesuffix("...\n").strip()


def _describe(annotation: Any, metadata: Iterable[Any]) -> str:
    """Return the values that a type annotation and its constraints allow."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *constraints = get_args(annotation)
        return _describe(
            inner, [bound for item in constraints for bound in getattr(item, "metadata", [item])]
        )
    if origin in (Union, UnionType):
        *others, last = [_describe(alternative, metadata) for alternative in get_args(annotation)]
        return f"{', '.join(others)}{',' if ' ' in ''.join(others) else ''} or {last}"
    if origin is Literal:
        words = [str(word) for word in get_args(annotation)]
        return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
    if origin is list:
        return "a list" if get_args(annotation) != (str,) else "a list of strings"
    if origin is dict:
        return "a mapping"
    if _find_section(annotation) is not None:
        return "a section (a mapping of keys)"
    words = [TYPES.get(annotation, "a value")]
    if annotation is str and any(getattr(item, "min_length", 0) for item in metadata):
        words = ["a non-empty string"]
    if annotation in (int, float):
        limits = [(sign, getattr(item, name, None)) for item in metadata for name, sign in BOUNDS.items()]
        bounds = [f"{sign} {limit}" for sign, limit in limits if limit is not None]
        words += [" and ".join(bounds)] if bounds else []
    return " ".join(words)


def _split_union(annotation: Any) -> tuple[Any, ...]:
    """Return the alternatives of a union type, or the annotation itself as the only alternative."""
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _find_section(annotation: Any) -> type[BaseModel] | None:
    """Return the pydantic model in an annotation, if there is one."""
    types = _split_union(annotation)
    return next((model for model in types if isinstance(model, type) and issubclass(model, BaseModel)), None)
