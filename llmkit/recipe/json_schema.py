"""Build the JSON Schema of recipes, with which editors complete keys, show their meaning and mark errors.

    build_json_schema({name: tasks.options(name) for name in tasks.names()})

The keys of the task section depend on `task.name`. So each task has its own definition, which is selected by if/then.
Rules about two keys (epochs or max_steps), and values that depend on the data, are left to `llmkit check`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from llmkit.recipe.schema import Recipe

__all__ = ["build_json_schema"]

# The language servers of editors support draft 7 best. In draft 7, keys next to a `$ref` are ignored.
DRAFT = "http://json-schema.org/draft-07/schema#"
MODE: JsonSchemaMode = "validation"


class _WithoutTitles(GenerateJsonSchema):
    """pydantic's schema without a title for each field, which an editor would show instead of the key."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def build_json_schema(task_options: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """Return the JSON Schema of a recipe.

    Args:
        task_options: The pydantic model of each task's own options, by task name.
    """
    models: list[type[BaseModel]] = list(dict.fromkeys((Recipe, *task_options.values())))
    references, schemas = models_json_schema(
        [(model, MODE) for model in models], schema_generator=_WithoutTitles
    )
    definitions: dict[str, Any] = schemas["$defs"]

    def get_definition(model: type[BaseModel]) -> Any:
        return definitions[references[model, MODE]["$ref"].removeprefix("#/$defs/")]

    tasks = {}
    for name, options in task_options.items():
        definition = get_definition(options)
        properties = {"name": {"const": name}, **definition.get("properties", {})}
        tasks[f"task.{name}"] = {**definition, "title": name, "properties": properties}
    recipe = get_definition(Recipe)
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
    replaced = {id(get_definition(model)) for model in task_options.values()} | {id(recipe)}
    sections = {name: section for name, section in definitions.items() if id(section) not in replaced}
    return {"$schema": DRAFT, **recipe, "title": "llmkit recipe", "$defs": {**sections, **tasks}}
