"""Every task keeps the protocol, so that the rest of llmkit needs to know no task by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import transformers

from llmkit import tasks
from llmkit.recipe.schema import Section
from llmkit.tasks.protocol import Task

SPLITS = [name for name in vars(Task) if not name.startswith("_")]
METHODS = [name for name in SPLITS if callable(getattr(Task, name))]

each_task = pytest.mark.parametrize("name", tasks.names())


def test_the_folder_is_the_registry() -> None:
    assert "classification" in tasks.names()
    assert not any(name.startswith("_") for name in tasks.names())
    with pytest.raises(AssertionError):
        tasks.load({"name": "no_such_task"})


def test_the_protocol_has_its_methods() -> None:
    assert {"check", "encode", "loss", "decode", "predictions", "score", "difference", "records"} <= set(
        METHODS
    )


@each_task
@pytest.mark.parametrize("method", METHODS)
def test_methods_take_what_the_protocol_says(name: str, method: str) -> None:
    """The same parameters by name, kind and default: callers use the protocol's."""

    def shape(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
        parameters = inspect.signature(function).parameters.values()
        return [(p.name, p.kind, p.default) for p in parameters if p.name != "self"]

    assert shape(getattr(tasks.load({"name": name}), method)) == shape(getattr(Task, method))


@each_task
def test_attributes_are_what_the_protocol_says(name: str) -> None:
    task = tasks.load({"name": name})
    assert hasattr(transformers, task.spec.auto_class)
    read = {**task.spec.columns, **task.spec.optional_columns}  # a conversation has one of several forms
    assert read
    assert all(isinstance(text, str) for text in [*read, *read.values()])
    assert task.spec.metrics
    assert "loss" not in task.spec.metrics  # it is always there, beside them


@each_task
def test_each_baseline_has_a_title_and_a_way_to_predict(name: str) -> None:
    baselines = tasks.load({"name": name}).spec.baselines
    assert baselines
    for baseline in baselines.values():
        assert baseline.title and not baseline.title.endswith(".")  # it stands in the middle of a sentence
        assert bool(baseline.predict) == (baseline.needs in ("examples", "embeddings"))


@each_task
def test_options_are_a_section_with_defaults(name: str) -> None:
    options = tasks.options(name)
    assert issubclass(options, Section)
    assert "name" not in options.model_fields
    options()
    assert all((field.description or "").endswith(".") for field in options.model_fields.values())
