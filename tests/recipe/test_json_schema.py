"""The JSON Schema of recipes accepts valid recipes and reports wrong keys and values at their place."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from llmkit import tasks
from llmkit.recipe import packaged, yaml
from llmkit.recipe.describe import collect_sections
from llmkit.recipe.json_schema import build_json_schema
from llmkit.recipe.load import dump, load
from llmkit.recipe.schema import Recipe

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is in the dev extra")

SCHEMA = build_json_schema({name: tasks.options(name) for name in tasks.names()})
SMALL: dict[str, Any] = {
    "task": {"name": "classification"},
    "model": {"name": "a", "lora": {"rank": 4}},
    "data": {"columns": {"text": 0}},
    "train": {"epochs": 1},
    "evaluate": {},
    "checkpoint": {},
}


def validate(recipe: Any) -> dict[str, str]:
    """Return the errors of a recipe: dotted key -> message."""
    errors = jsonschema.Draft7Validator(SCHEMA).iter_errors(recipe)
    return {".".join(map(str, error.absolute_path)): error.message for error in errors}


def set_value(place: str, value: Any) -> dict[str, Any]:
    """Return SMALL with one value set."""
    recipe: dict[str, Any] = copy.deepcopy(SMALL)
    *sections, last = place.split(".")
    section = recipe
    for key in sections:
        section = section.setdefault(key, {})
    section[last] = value
    return recipe


def test_schema_is_valid_and_survives_json() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA, allow_nan=False)) == SCHEMA


@pytest.mark.parametrize("name", packaged.list_names())
def test_packaged_recipe_is_valid_as_written_and_with_all_defaults(name: str, tmp_path: Path) -> None:
    assert validate(yaml.read(packaged.find_path(name), name).value) == {}
    recipe = load(name, task_names=tasks.names(), task_options=tasks.options)
    assert validate(yaml.parse(dump(recipe), name).value) == {}


@pytest.mark.parametrize("name", packaged.list_names())
def test_unknown_task_option_is_an_error(name: str) -> None:
    content = yaml.read(packaged.find_path(name), name).value
    content["task"]["maxlength"] = 3
    assert "'maxlength' was unexpected" in validate(content)["task"]


@pytest.mark.parametrize("section", [".".join(map(str, path)) for path in collect_sections(Recipe)])
def test_unknown_key_is_an_error_in_every_section(section: str) -> None:
    place = f"{section}.zzz" if section else "zzz"
    errors = validate(set_value(place, 1))
    assert set(errors) == {section}
    assert "zzz" in errors[section]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("train.epochs", 0),
        ("train.batch_size", "32"),
        ("train.schedule", "cosinus"),
        ("train.max_length", 1),
        ("train.seeds", []),
        ("model.name", ""),
        ("model.lora.dropout", 1),
        ("data.columns.text", 1.5),
        ("data.train", 3),
        ("evaluate.confidence", 1),
        ("evaluate.baselines", "tfidf"),
        ("checkpoint.keep", 1),
        ("seed", -1),
        ("task.name", "clasification"),
        ("task.label_smoothing", 2),
    ],
)
def test_invalid_value_is_an_error_at_its_place(place: str, value: Any) -> None:
    assert validate(SMALL) == {}
    assert any(place.startswith(key) for key in validate(set_value(place, value)) if key)


def test_missing_required_key_is_an_error() -> None:
    assert "'name' is a required property" in validate({**SMALL, "task": {}})["task"]
    assert "'model' is a required property" in validate({"task": {"name": "mlm"}})[""]


def test_every_key_section_and_task_has_a_description() -> None:
    for name, section in SCHEMA["$defs"].items():
        assert section["description"], name
        for key, value in section["properties"].items():
            is_reference = "$ref" in value or "$ref" in json.dumps(value.get("anyOf", ""))
            assert value.get("description") or is_reference or key == "name", (name, key)
