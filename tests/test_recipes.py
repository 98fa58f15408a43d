"""The packaged recipes: their comments, their length, and a dry run of each on example data."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import llmkit
from llmkit import tasks
from llmkit.recipe import load, packaged
from tests.samples import rows, write

each_recipe = pytest.mark.parametrize("name", packaged.list_names())


@each_recipe
def test_comment_states_purpose_data_and_expected_score(name: str) -> None:
    text = packaged.find_path(name).read_text(encoding="utf-8")
    comment = [line for line in text.splitlines() if line.startswith("#")]
    assert len(packaged.read_summary(name)) > 30
    for heading in ("# Data: ", "# Expected: "):
        assert any(line.startswith(heading) for line in comment), heading
    measured = re.search(r"\d\.\d+ \(95% CI \d+\.\d+ to \d+\.\d+\), about \d+ minutes?", " ".join(comment))
    assert measured or "# Expected: not measured yet." in comment


@each_recipe
def test_recipe_has_10_to_25_lines_of_settings(name: str) -> None:
    text = packaged.find_path(name).read_text(encoding="utf-8")
    settings = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert 10 <= len(settings) <= 25


@each_recipe
def test_dry_run_on_example_rows_of_the_task(
    name: str, tmp_path: Path, tiny_for: Callable[[str], Path]
) -> None:
    """Uses a tiny model. Overrides set the columns and classes of the example rows."""
    recipe = load.load(
        str(packaged.find_path(name)), (), task_names=tasks.names(), task_options=tasks.options
    )
    task = recipe.task["name"]
    write(tmp_path / "rows.jsonl", rows(task, 80))
    start = "model.tokenizer" if recipe.model.from_scratch else "model.name"
    overrides = [f"{start}={tiny_for(task)}", f"data.train={tmp_path}/rows.jsonl", "train.max_length=48"]
    overrides += [f"data.columns.{column}={column}" for column in recipe.data.columns]
    if recipe.task.get("max_new_tokens"):
        overrides.append("task.max_new_tokens=12")
    if recipe.task.get("positive"):
        overrides.append(f"task.positive={rows(task, 1)[0]['label']}")
    if recipe.task.get("ordered"):
        overrides.append("data.labels=[negative, positive]")
    plan = getattr(llmkit, packaged.find_kind(name))(name, overrides, dry_run=True)
    assert plan["rows"]["train"] >= (20 if recipe.task.get("packing") else 60)
    assert plan["schedule"]["total_steps"] > 0
