"""Open a run, a model folder of llmkit, or a model that another tool saved."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from llmkit.base.errors import ModelError, UserError
from llmkit.base.progress import SILENT
from llmkit.inference.trained_model import open_model


def error_of(kind: type[UserError], target: Path) -> str:
    with pytest.raises(kind) as caught:
        open_model(str(target), SILENT)
    (line,) = caught.value.lines()
    return line


@pytest.fixture
def foreign(finished: Any, tmp_path: Path) -> Path:
    """The finished model as another tool would save it."""
    folder = Path(shutil.copytree(finished.path / "model", tmp_path / "foreign"))
    (folder / "llmkit.json").unlink()
    return folder


def edit_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def test_run_has_its_recipe(finished: Any) -> None:
    opened = open_model(str(finished.path), SILENT)
    assert opened.name == str(finished.path)
    assert opened.labels == ("negative", "positive")
    assert opened.columns == {"text": "text", "label": "label"}
    assert (opened.train.max_length, opened.train.truncation) == (32, True)
    assert opened.recipe is not None
    assert opened.recipe.train.learning_rate == 3e-3
    assert opened.model.config.id2label == {0: "negative", 1: "positive"}


def test_model_folder_has_the_same_weights_without_a_recipe(finished: Any) -> None:
    run, model = (open_model(str(path), SILENT) for path in (finished.path, finished.path / "model"))
    assert model.recipe is None
    assert (model.labels, model.train.max_length) == (run.labels, 32)
    ours, theirs = run.model.state_dict(), model.model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_task_labels_and_length_are_derived_from_a_foreign_model(foreign: Path) -> None:
    opened = open_model(str(foreign), SILENT)
    assert opened.task.spec.auto_class == "AutoModelForSequenceClassification"
    assert opened.labels == ("negative", "positive")
    assert opened.train.max_length == 64  # its positions
    assert opened.columns == {"text": "text", "label": "label"}


def test_labels_are_ordered_by_number(foreign: Path) -> None:
    """The keys of id2label are strings, which would sort "10" before "2"."""
    from transformers import AutoModelForSequenceClassification

    names = {number: f"class {number}" for number in range(12)}
    model = AutoModelForSequenceClassification.from_pretrained(
        foreign, num_labels=12, id2label=names, ignore_mismatched_sizes=True
    )
    model.save_pretrained(foreign)
    assert open_model(str(foreign), SILENT).labels == tuple(names.values())


def test_labels_without_names_are_numbered(foreign: Path) -> None:
    edit_config(foreign, lambda config: (config.pop("id2label"), config.pop("label2id")))
    assert open_model(str(foreign), SILENT).labels == ("LABEL_0", "LABEL_1")


def test_model_without_a_head_is_an_error(tiny_bert: Path) -> None:
    line = error_of(ModelError, tiny_bert)
    assert line == (
        f"error[M11] {tiny_bert}: has no head that llmkit knows (BertModel). Fix: fine-tune it first"
    )


def test_run_without_a_model_is_an_error(unfinished: Path) -> None:
    assert error_of(ModelError, unfinished).startswith(
        f"error[R05] {unfinished}: has no model yet, because its training is not finished"
    )


def test_damaged_metadata_is_an_error(finished: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished.path / "model", tmp_path / "damaged"))
    (folder / "llmkit.json").write_text('{"task": ')
    assert error_of(ModelError, folder).startswith(f"error[M01] {folder / 'llmkit.json'}: is damaged (")


def test_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError):
        open_model(str(tmp_path / "empty"), SILENT)
