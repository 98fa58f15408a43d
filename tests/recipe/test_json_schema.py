"""The JSON Schema accepts what `load` accepts, and marks wrong keys and values at their place."""

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


def errors(recipe: Any) -> dict[str, str]:
    """The schema's errors: dotted place -> message."""
    found = jsonschema.Draft7Validator(SCHEMA).iter_errors(recipe)
    return {".".join(map(str, error.absolute_path)): error.message for error in found}


def with_value(place: str, value: Any) -> dict[str, Any]:
    """SMALL with one value set."""
    recipe: dict[str, Any] = copy.deepcopy(SMALL)
    *way, last = place.split(".")
    section = recipe
    for key in way:
        section = section.setdefault(key, {})
    section[last] = value
    return recipe


def test_it_is_a_schema_that_json_can_hold() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA, allow_nan=False)) == SCHEMA


@pytest.mark.parametrize("name", packaged.list_names())
def test_a_packaged_recipe_is_accepted_as_written_and_with_all_defaults(name: str, tmp_path: Path) -> None:
    assert errors(yaml.read(packaged.find_path(name), name).value) == {}
    recipe = load(name, task_names=tasks.names(), task_options=tasks.options)
    assert errors(yaml.parse(dump(recipe), name).value) == {}


@pytest.mark.parametrize("name", packaged.list_names())
def test_an_option_that_the_task_does_not_have_is_marked(name: str) -> None:
    content = yaml.read(packaged.find_path(name), name).value
    content["task"]["maxlength"] = 3
    assert "'maxlength' was unexpected" in errors(content)["task"]


@pytest.mark.parametrize("section", [".".join(map(str, where)) for where in collect_sections(Recipe)])
def test_an_unknown_key_is_marked_in_every_section(section: str) -> None:
    place = f"{section}.zzz" if section else "zzz"
    found = errors(with_value(place, 1))
    assert set(found) == {section}
    assert "zzz" in found[section]


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
def test_a_wrong_value_is_marked_at_its_place(place: str, value: Any) -> None:
    assert errors(SMALL) == {}
    assert any(place.startswith(found) for found in errors(with_value(place, value)) if found)


def test_what_is_missing_is_marked() -> None:
    assert "'name' is a required property" in errors({**SMALL, "task": {}})["task"]
    assert "'model' is a required property" in errors({"task": {"name": "mlm"}})[""]


def test_an_editor_can_show_every_key() -> None:
    """Each key has a description, and each section and task one of its own."""
    for name, section in SCHEMA["$defs"].items():
        assert section["description"], name
        for key, value in section["properties"].items():
            referred = "$ref" in value or "$ref" in json.dumps(value.get("anyOf", ""))
            assert value.get("description") or referred or key == "name", (name, key)
