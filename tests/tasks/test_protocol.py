"""Every task has the members of the protocol, and no task is named outside of llmkit/tasks."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import transformers

import llmkit
from llmkit import tasks
from llmkit.recipe.schema import Section
from llmkit.tasks.protocol import Task, TaskData, TaskEvaluation, TaskModel

PACKAGE = Path(llmkit.__file__).parent
# Words that are also names of tasks, and what they are here.
OTHER_MEANINGS = {
    ("cli/chat.py", "chat"): "the command",
    ("cli/commands.py", "chat"): "the command",
    ("data/checks/programs.py", "code"): "a column",
    ("data/reading/scored_values.py", "translation"): "a column",
    ("engine/losses.py", "classification"): "a loss function",
    ("engine/losses.py", "multi_label"): "a loss function",
    ("inference/trained_model.py", "regression"): "a problem_type of transformers",
    ("sandbox/isolation.py", "code"): "a field of a job",
}


def members(protocol: type) -> list[str]:
    return [name for name in vars(protocol) if not name.startswith("_")]


MEMBERS = [name for protocol in (TaskData, TaskModel, TaskEvaluation) for name in members(protocol)]
METHODS = [name for name in MEMBERS if name != "spec"]

each_task = pytest.mark.parametrize("name", tasks.names())


def test_the_folder_is_the_registry() -> None:
    assert "classification" in tasks.names()
    assert not any(name.startswith("_") for name in tasks.names())
    with pytest.raises(AssertionError):
        tasks.load({"name": "no_such_task"})


def test_the_protocol_is_small() -> None:
    assert {"check", "encode", "loss", "decode", "predictions", "score", "records"} <= set(MEMBERS)
    assert len(MEMBERS) == len(set(MEMBERS)) <= 16
    assert members(Task) == []  # it only combines the three


@each_task
def test_a_task_has_the_members_of_the_protocol_and_no_others_are_called(name: str) -> None:
    task = tasks.load({"name": name})
    assert all(hasattr(task, member) for member in MEMBERS)


@each_task
@pytest.mark.parametrize("method", METHODS)
def test_methods_take_what_the_protocol_says(name: str, method: str) -> None:
    """The same parameters by name, kind and default: callers use the protocol's."""

    def signature(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
        parameters = inspect.signature(function).parameters.values()
        return [(p.name, p.kind, p.default) for p in parameters if p.name != "self"]

    task = tasks.load({"name": name})
    assert signature(getattr(task, method)) == signature(getattr(Task, method))


@each_task
def test_inheritance_is_at_most_one_class_deep(name: str) -> None:
    (own, *bases) = type(tasks.load({"name": name})).__mro__
    assert own.__module__.startswith("llmkit.tasks.")
    assert len(bases) <= 2 and bases[-1] is object


@each_task
def test_the_spec_fits_transformers_and_files(name: str) -> None:
    spec = tasks.load({"name": name}).spec
    assert hasattr(transformers, spec.auto_class)
    columns = {**spec.columns, **spec.optional_columns}  # a conversation has one of several forms
    assert columns
    assert all(isinstance(text, str) for text in [*columns, *columns.values()])
    assert spec.metrics
    assert "loss" not in spec.metrics  # every task has it
    assert "loss" in spec.lower_is_better
    assert set(spec.validation_metrics) <= {"loss", *spec.metrics}


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


def strings_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_no_task_is_named_outside_of_the_tasks() -> None:
    named = {
        (path.relative_to(PACKAGE).as_posix(), text)
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "tasks"
        for text in strings_of(path)
        if text in tasks.names()
    }
    assert named - OTHER_MEANINGS.keys() == set()
    assert OTHER_MEANINGS.keys() - named == set()  # the list has no stale entry
