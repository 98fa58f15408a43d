"""A run resumes only with the recipe that started it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmkit.base.errors import RunError
from llmkit.base.run import Run
from llmkit.recipe import load
from llmkit.training.run import check_same


@pytest.fixture
def started(recipe_of: Callable[..., Any], tmp_path: Path) -> Run:
    run = Run(tmp_path / "started")
    run.path.mkdir()
    run.recipe.write_text(load.dump(recipe_of()), encoding="utf-8")
    return run


def test_same_recipe_is_accepted(started: Run, recipe_of: Callable[..., Any], listener: Any) -> None:
    check_same(started, recipe_of(), listener)
    assert listener.notes == []


@pytest.mark.parametrize("override", ["train.max_hours=2", "checkpoint.every_steps=7", "checkpoint.keep=9"])
def test_settings_that_change_no_result_give_a_note(
    started: Run, recipe_of: Callable[..., Any], listener: Any, override: str
) -> None:
    check_same(started, recipe_of(override), listener)
    (note,) = listener.notes
    assert override.partition("=")[0] in note


@pytest.mark.parametrize("override", ["seed=99", "train.learning_rate=1e-6", "train.batch_size=3"])
def test_settings_that_change_the_result_are_an_error(
    started: Run, recipe_of: Callable[..., Any], override: str
) -> None:
    with pytest.raises(RunError, match="M09") as caught:
        check_same(started, recipe_of(override))
    assert override.partition("=")[0] in str(caught.value)
