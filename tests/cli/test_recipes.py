"""`llmkit recipes list | show | copy`"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmkit.recipe import packaged


def test_list_has_one_line_per_recipe_with_its_summary(command: Callable[..., Any]) -> None:
    lines = command("recipes", "list").out.splitlines()
    assert [line.split()[0] for line in lines] == packaged.list_names()
    assert all(line.endswith(packaged.read_summary(line.split()[0])) for line in lines)
    starts = {line.index(packaged.read_summary(line.split()[0])) for line in lines}
    assert len(starts) == 1


def test_list_as_json(command: Callable[..., Any]) -> None:
    outcome = command("recipes", "list", "--json")
    assert outcome.json == {"recipes": {name: packaged.read_summary(name) for name in packaged.list_names()}}


def test_show_prints_a_complete_recipe(
    command: Callable[..., Any], tiny_recipe: Path, tmp_path: Path
) -> None:
    shown = command("recipes", "show", tiny_recipe).out
    assert "weight_decay: 0.01" in shown  # a default
    copy = tmp_path / "again.yaml"
    copy.write_text(shown, encoding="utf-8")
    assert command("recipes", "show", copy).out == shown


def test_schema_lists_keys_of_sections_and_tasks(command: Callable[..., Any]) -> None:
    text = command("recipes", "show", "--schema").out
    keys = [line.split()[0] for line in text.splitlines() if line.startswith(("task.", "model.", "train."))]
    assert {"task.label_smoothing", "model.lora.rank", "train.learning_rate"} <= set(keys)


def test_show_as_json(command: Callable[..., Any]) -> None:
    shown = command("recipes", "show", "sentiment", "--json").json
    assert (shown["task"]["name"], shown["train"]["weight_decay"]) == ("classification", 0.01)


def test_copy_into_a_folder_updates_the_schema_file(command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "llmkit.schema.json").write_text(
        "{}", encoding="utf-8"
    )  # written by an older version
    assert command("recipes", "copy", "ner", "mine").out == "copied to mine/ner.yaml\n"
    assert "$defs" in json.loads((tmp_path / "mine" / "llmkit.schema.json").read_text(encoding="utf-8"))
    original = command("recipes", "show", "ner").out
    assert command("recipes", "show", "mine/ner.yaml").out == original


def test_show_without_a_name_is_an_error(command: Callable[..., Any]) -> None:
    outcome = command("recipes", "show")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "error[U01] no recipe was named. Fix: run `llmkit recipes list` to see the names\n"


def test_copy_never_overwrites_a_file(command: Callable[..., Any], tmp_path: Path) -> None:
    assert command("recipes", "copy", "sentiment").out == "copied to sentiment.yaml\n"
    modeline, _, copied = (tmp_path / "sentiment.yaml").read_text(encoding="utf-8").partition("\n")
    assert copied == packaged.find_path("sentiment").read_text(encoding="utf-8")
    assert modeline == "# yaml-language-server: $schema=llmkit.schema.json"
    schema = (tmp_path / "llmkit.schema.json").read_text(encoding="utf-8")
    assert schema == command("recipes", "show", "--schema", "--json").out
    outcome = command("recipes", "copy", "sentiment")
    assert outcome.code == 2
    assert outcome.err.startswith("error[C16] sentiment.yaml: ")


def test_misspelt_recipe_gets_a_suggestion(command: Callable[..., Any]) -> None:
    outcome = command("recipes", "copy", "sentimant")
    assert outcome.code == 2
    assert 'did you mean "sentiment"?' in outcome.err
