"""`llmkit recipes list | show | copy`"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmkit.recipe import packaged


def test_list_has_a_line_a_recipe_with_what_it_is_for(command: Callable[..., Any]) -> None:
    lines = command("recipes", "list").out.splitlines()
    assert [line.split()[0] for line in lines] == packaged.list_names()
    assert all(line.endswith(packaged.read_summary(line.split()[0])) for line in lines)
    starts = {line.index(packaged.read_summary(line.split()[0])) for line in lines}
    assert len(starts) == 1


def test_list_as_json(command: Callable[..., Any]) -> None:
    done = command("recipes", "list", "--json")
    assert done.json == {"recipes": {name: packaged.read_summary(name) for name in packaged.list_names()}}


def test_show_prints_a_recipe_that_can_be_run_again(
    command: Callable[..., Any], tiny_recipe: Path, tmp_path: Path
) -> None:
    shown = command("recipes", "show", tiny_recipe).out
    assert "weight_decay: 0.01" in shown  # a default
    copy = tmp_path / "again.yaml"
    copy.write_text(shown, encoding="utf-8")
    assert command("recipes", "show", copy).out == shown


def test_schema_names_every_section_and_the_tasks(command: Callable[..., Any]) -> None:
    text = command("recipes", "show", "--schema").out
    keys = [line.split()[0] for line in text.splitlines() if line.startswith(("task.", "model.", "train."))]
    assert {"task.label_smoothing", "model.lora.rank", "train.learning_rate"} <= set(keys)


def test_show_as_json_is_one_object(command: Callable[..., Any]) -> None:
    shown = command("recipes", "show", "sentiment", "--json").json
    assert (shown["task"]["name"], shown["train"]["weight_decay"]) == ("classification", 0.01)


def test_a_copy_into_a_folder_has_the_schema_beside_it(command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "llmkit.schema.json").write_text("{}", encoding="utf-8")  # of an older version
    assert command("recipes", "copy", "ner", "mine").out == "copied to mine/ner.yaml\n"
    assert "$defs" in json.loads((tmp_path / "mine" / "llmkit.schema.json").read_text(encoding="utf-8"))
    original = command("recipes", "show", "ner").out
    assert command("recipes", "show", "mine/ner.yaml").out == original


def test_show_without_a_name_asks_for_one(command: Callable[..., Any]) -> None:
    done = command("recipes", "show")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error[U01] no recipe was named. Fix: run `llmkit recipes list` to see the names\n"


def test_copy_writes_the_file_here_and_never_over_another(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    assert command("recipes", "copy", "sentiment").out == "copied to sentiment.yaml\n"
    modeline, _, copied = (tmp_path / "sentiment.yaml").read_text(encoding="utf-8").partition("\n")
    assert copied == packaged.find_path("sentiment").read_text(encoding="utf-8")
    assert modeline == "# yaml-language-server: $schema=llmkit.schema.json"
    schema = (tmp_path / "llmkit.schema.json").read_text(encoding="utf-8")
    assert schema == command("recipes", "show", "--schema", "--json").out
    done = command("recipes", "copy", "sentiment")
    assert done.code == 2
    assert done.err.startswith("error[C16] sentiment.yaml: ")


def test_a_misspelt_recipe_is_guessed(command: Callable[..., Any]) -> None:
    done = command("recipes", "copy", "sentimant")
    assert done.code == 2
    assert 'did you mean "sentiment"?' in done.err
