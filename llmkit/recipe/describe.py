"""The schema in plain words: what a key may hold, and the table that `llmkit recipes schema` prints.

Everything is read off the pydantic models, so words and rules can't drift apart.

    describe_field(Train, "batch_size")        "a whole number of at least 1"
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    "format_schema",
    "list_choices",
]

Sections = dict[KeyPath, type[BaseModel]]  # by the way down from the top: ("model", "lora") -> Lora

WORDS: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    NoneType: "null",
    Any: "any value",
}
BOUNDS = {"gt": "above {}", "ge": "of at least {}", "lt": "below {}", "le": "of at most {}"}
COLUMNS = (28, 24, 8, 34)  # characters: key, what it may hold, default, meaning; 100 with the gaps


def collect_sections(model: type[BaseModel], prefix: KeyPath = ()) -> Sections:
    """The model and all models inside it, each by its place in the recipe."""
    found: Sections = {prefix: model}
    for name, field in model.model_fields.items():
        inner = _section(field.annotation)
        if inner is not None:
            found |= collect_sections(inner, (*prefix, name))
    return found


def describe_field(model: type[BaseModel], key: str) -> str:
    """What the key may hold, e.g. `a number of at least 0 and below 1, or null`."""
    field = model.model_fields[key]
    return _describe(field.annotation, field.metadata)


def describe_item(model: type[BaseModel], key: str) -> str:
    """What an item of the key's list or mapping may be."""
    annotation = model.model_fields[key].annotation
    items = [get_args(part)[-1] for part in _parts(annotation) if get_origin(part) in (list, dict)]
    return _describe(items[0], []) if items else "any value"


def list_choices(model: type[BaseModel], key: str) -> list[str]:
    """The words a key chooses from; empty where it takes other values."""
    parts = _parts(model.model_fields[key].annotation)
    return [str(word) for part in parts if get_origin(part) is Literal for word in get_args(part)]


def accepts_null(model: type[BaseModel], key: str) -> bool:
    return NoneType in _parts(model.model_fields[key].annotation)


def format_schema(task_options: Mapping[str, type[BaseModel]] | None = None) -> str:
    """Every key of a recipe as `section.key  what it may hold  default  meaning`, 100 columns wide.

    task_options: the options of the tasks to show too, by task name.
    """
    lines: list[str] = []
    for where, model in collect_sections(Recipe).items():
        lines += _table(model, ".".join(map(str, where)))
        if where == ():
            for name, options in (task_options or {}).items():
                lines += _table(options, "task", f"task.name: {name}")
    return "\n".join(lines)


def _table(model: type[BaseModel], prefix: str, title: str = "") -> Iterator[str]:
    meaning = (model.__doc__ or "").strip().partition("\n")[0]
    yield from textwrap.wrap(f"# {title or prefix}: {meaning}" if title or prefix else f"# {meaning}", 100)
    for name, field in model.model_fields.items():
        if _section(field.annotation) is not None and not accepts_null(model, name):
            continue  # it has a table of its own
        key = f"{prefix}.{name}" if prefix else name
        meaning = " ".join((field.description or "").split())
        yield from _row([key, _describe(field.annotation, field.metadata), _default(field), meaning])
    yield ""


def _row(cells: Sequence[str]) -> Iterator[str]:
    wrapped = [textwrap.wrap(cell, width) for cell, width in zip(cells, COLUMNS)]
    for parts in zip_longest(*wrapped, fillvalue=""):
        yield "  ".join(part.ljust(width) for part, width in zip(parts, COLUMNS)).rstrip()


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return (
        json.dumps(value, ensure_ascii=False)
        if isinstance(value, (list, dict))
        else dump(value).removesuffix("...\n").strip()
    )


def _describe(annotation: Any, metadata: Iterable[Any]) -> str:
    if get_origin(annotation) is Annotated:
        inner, *rest = get_args(annotation)
        return _describe(inner, [bound for item in rest for bound in getattr(item, "metadata", [item])])
    if get_origin(annotation) in (Union, UnionType):
        return _union([_describe(part, metadata) for part in get_args(annotation)])
    if get_origin(annotation) is Literal:
        words = [str(word) for word in get_args(annotation)]
        return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
    if get_origin(annotation) is list:
        return "a list" if get_args(annotation) != (str,) else "a list of texts"
    if get_origin(annotation) is dict or _section(annotation) is not None:
        return "a section with keys of its own"
    return " ".join([WORDS.get(annotation, "a value"), *_bounds(annotation, metadata)])


def _union(parts: list[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)}{',' if ' ' in ''.join(most) else ''} or {last}"


def _bounds(annotation: Any, metadata: Iterable[Any]) -> list[str]:
    if annotation is str:
        return ["that is not empty"] if any(getattr(item, "min_length", 0) for item in metadata) else []
    if annotation not in (int, float):
        return []
    named = [(text, getattr(item, name, None)) for item in metadata for name, text in BOUNDS.items()]
    words = [text.format(bound) for text, bound in named if bound is not None]
    return [" and ".join(words)] if words else []


def _parts(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a union; a plain annotation is its only one."""
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _section(annotation: Any) -> type[BaseModel] | None:
    models = [part for part in _parts(annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
    return models[0] if models else None
