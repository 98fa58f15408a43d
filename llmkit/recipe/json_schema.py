"""The JSON Schema of recipes: editors complete keys with it, show their meaning and underline what is wrong.

    build_json_schema({name: tasks.options(name) for name in tasks.names()})

The keys of the task section depend on `task.name`, so each task has a definition of its own, chosen by if/then.
Rules between two keys (epochs or max_steps) and values that only the data can tell are left to `llmkit check`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from llmkit.recipe.schema import Recipe

__all__ = ["build_json_schema"]

# Draft 7 is what the editors' language servers know best. In it a `$ref` stands alone: its neighbours are ignored.
DRAFT = "http://json-schema.org/draft-07/schema#"
MODE: JsonSchemaMode = "validation"


class _WithoutTitles(GenerateJsonSchema):
    """pydantic's schema without a title for each field, which an editor would show in place of the key."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def build_json_schema(task_options: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """Return the JSON Schema of a recipe.

    Args:
        task_options: the model of each task's own options, by task name.
    """
    models: list[type[BaseModel]] = list(dict.fromkeys((Recipe, *task_options.values())))
    references, found = models_json_schema(
        [(model, MODE) for model in models], schema_generator=_WithoutTitles
    )
    definitions: dict[str, Any] = found["$defs"]

    def defined(model: type[BaseModel]) -> Any:
        return definitions[references[model, MODE]["$ref"].removeprefix("#/$defs/")]

    tasks = {f"task.{name}": _task(name, defined(options)) for name, options in task_options.items()}
    recipe = defined(Recipe)
    recipe["properties"] = {
        key: {"$ref": value["$ref"]} if "$ref" in value else value
        for key, value in recipe["properties"].items()
    }
    recipe["properties"]["task"] = {
        "type": "object",
        "description": recipe["properties"]["task"]["description"],
        "properties": {"name": {"description": "Name of the task.", "enum": list(task_options)}},
        "required": ["name"],
        "allOf": [
            {
                "if": {"properties": {"name": {"const": name}}, "required": ["name"]},
                "then": {"$ref": f"#/$defs/task.{name}"},
            }
            for name in task_options
        ],
    }
    top = {id(defined(model)) for model in task_options.values()} | {id(recipe)}
    sections = {name: section for name, section in definitions.items() if id(section) not in top}
    return {"$schema": DRAFT, **recipe, "title": "llmkit recipe", "$defs": {**sections, **tasks}}


def _task(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The task section of one task: its name and its own options."""
    properties = {"name": {"const": name}, **options.get("properties", {})}
    return {**options, "title": name, "properties": properties}
