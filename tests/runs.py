"""Fixtures: two finished runs of the tiny recipe, and functions that load the recipe and train in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import llmkit
from llmkit import tasks
from llmkit.base.progress import SILENT
from llmkit.base.run import Run
from llmkit.engine import session as sessions
from llmkit.engine.checkpoint import State
from llmkit.recipe import load
from llmkit.recipe.schema import Recipe
from llmkit.training import loop
from llmkit.training.model import load_model
from llmkit.training.prepare import Prepared, prepare
from llmkit.training.training_run import TrainingRun


@dataclass
class Listener:
    """A Progress that records its calls."""

    notes: list[str] = field(default_factory=list)
    works: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, what: str, done: int, total: int, unit: str, detail: str = "") -> None:
        self.works.append(what)


@dataclass(frozen=True)
class Training:
    """A finished training loop.

    Attributes:
        training: The training run.
        model: The model with its best weights.
        notes: The notes and warnings of the training.
    """

    training: TrainingRun
    model: nn.Module
    notes: list[str]

    @property
    def run(self) -> Run:
        return self.training.folder

    @property
    def prepared(self) -> Prepared:
        return self.training.prepared

    @property
    def state(self) -> State:
        return self.training.state

    def log(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.run.read_log() if line["kind"] == kind]

    def losses(self) -> list[float]:
        return [line["loss"] for line in self.log("step")]


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Attributes:
        path: The run folder.
        content: What `llmkit.finetune` returned.
    """

    path: Path
    content: dict[str, Any]

    @property
    def predictions(self) -> list[dict[str, Any]]:
        lines = Run(self.path).predictions(self.content["part"]).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def recipe_of(tiny_recipe: Path) -> Callable[..., Recipe]:
    """Return a function that loads the tiny recipe with overrides."""

    def make(*overrides: str) -> Recipe:
        return load.load(str(tiny_recipe), overrides, task_names=tasks.names(), task_options=tasks.options)

    return make


@pytest.fixture
def train(recipe_of: Callable[..., Recipe], tmp_path: Path) -> Callable[..., Training]:
    """Return a function that trains the tiny recipe with overrides, without saving a model, scores or a report."""

    def run(*overrides: str, folder: Path | None = None) -> Training:
        run_folder = Run(folder or tmp_path / "fit")
        run_folder.path.mkdir(exist_ok=True)
        run_folder.log.touch()
        run_folder.environment.write_text('{"command": "llmkit finetune tiny"}', encoding="utf-8")
        listener = Listener()
        prepared = prepare(recipe_of(*overrides), SILENT)
        with sessions.start(seed=prepared.recipe.seed, precision="fp32") as session:
            model = load_model(prepared, SILENT)
            training = TrainingRun.start(session, run_folder, prepared, model, listener)
            trained = loop.train(training)
        return Training(training, trained, listener.notes)

    return run


@pytest.fixture(scope="session")
def finished(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Return a finished run of the tiny recipe, which has learned its task."""
    return _finetune(tiny_recipe, [], tmp_path_factory)


@pytest.fixture(scope="session")
def other(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Return a finished run on the same data that has learned almost nothing."""
    return _finetune(tiny_recipe, ["train.max_steps=2", "train.learning_rate=1e-6"], tmp_path_factory)


@pytest.fixture
def unfinished(finished: Finished, tmp_path: Path) -> Path:
    """Return the folder of a run without a model and a report, as before its end."""
    folder = tmp_path / "unfinished"
    shutil.copytree(finished.path, folder)
    shutil.rmtree(folder / "model")
    (folder / "report.json").unlink()
    return folder


@pytest.fixture(scope="session")
def tiny_bert_without_dropout(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny BERT without dropout, for tests of sums that must not depend on how a step is split."""
    folder = tmp_path_factory.mktemp("no_dropout") / "bert"
    shutil.copytree(tiny_bert, folder)
    config = json.loads((folder / "config.json").read_text())
    changed = config | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(changed))
    return folder


def _finetune(recipe: Path, overrides: Sequence[str], factory: pytest.TempPathFactory) -> Finished:
    """Run finetune with the test cache. A session fixture runs before the fixture that sets the cache for each test."""
    folder = factory.mktemp("runs") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMKIT_CACHE", str(factory.getbasetemp() / "cache"))
        content = llmkit.finetune(str(recipe), overrides, out=folder)
    return Finished(folder, content)
