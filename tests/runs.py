"""Two finished runs of the tiny recipe, made once; recipes, fits and short runs in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import llmkit
from llmkit import tasks
from llmkit.base.progress import SILENT
from llmkit.base.run import Run
from llmkit.engine import session as sessions
from llmkit.recipe import load
from llmkit.recipe.schema import Recipe
from llmkit.training.loop import Fitted, fit
from llmkit.training.model import load_model
from llmkit.training.prepare import Prepared, prepare


@dataclass
class Listener:
    """A Progress that keeps what it hears."""

    notes: list[str] = field(default_factory=list)
    works: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, what: str, done: int, total: int, unit: str, detail: str = "") -> None:
        self.works.append(what)


@dataclass(frozen=True)
class Training:
    """A fit and what it left."""

    run: Run
    prepared: Prepared
    fitted: Fitted
    notes: list[str]

    def log(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.run.read_log() if line["kind"] == kind]

    def losses(self) -> list[float]:
        return [line["loss"] for line in self.log("step")]


@dataclass(frozen=True)
class Finished:
    """A finished run: its folder, and what finetune returned."""

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
    """The tiny recipe under these overrides."""

    def make(*overrides: str) -> Recipe:
        return load.load(str(tiny_recipe), overrides, task_names=tasks.names(), task_options=tasks.options)

    return make


@pytest.fixture
def train(recipe_of: Callable[..., Recipe], tmp_path: Path) -> Callable[..., Training]:
    """Fit the tiny recipe under these overrides: no model, scores or report."""

    def run(*overrides: str, folder: Path | None = None) -> Training:
        found = Run(folder or tmp_path / "fit")
        found.path.mkdir(exist_ok=True)
        found.log.touch()
        found.environment.write_text('{"command": "llmkit finetune tiny"}', encoding="utf-8")
        listener = Listener()
        prepared = prepare(recipe_of(*overrides), SILENT)
        with sessions.start(seed=prepared.recipe.seed, precision="fp32") as session:
            fitted = fit(session, found, prepared, load_model(prepared, SILENT), listener)
        return Training(found, prepared, fitted, listener.notes)

    return run


@pytest.fixture(scope="session")
def finished(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The tiny recipe as it is; it learns its task."""
    return _finetune(tiny_recipe, [], tmp_path_factory)


@pytest.fixture(scope="session")
def other(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run on the same rows that learned next to nothing."""
    return _finetune(tiny_recipe, ["train.max_steps=2", "train.learning_rate=1e-6"], tmp_path_factory)


@pytest.fixture
def unfinished(finished: Finished, tmp_path: Path) -> Path:
    """The finished run as it was before its end."""
    folder = tmp_path / "unfinished"
    shutil.copytree(finished.path, folder)
    shutil.rmtree(folder / "model")
    (folder / "report.json").unlink()
    return folder


@pytest.fixture(scope="session")
def undropped(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny BERT without dropout, for tests of sums that must not depend on how they are cut."""
    folder = tmp_path_factory.mktemp("undropped") / "bert"
    shutil.copytree(tiny_bert, folder)
    config = json.loads((folder / "config.json").read_text())
    changed = config | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(changed))
    return folder


def _finetune(recipe: Path, overrides: Sequence[str], factory: pytest.TempPathFactory) -> Finished:
    """With a cache of the tests: a fixture of the session comes before the one that sets it for each test."""
    folder = factory.mktemp("runs") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMKIT_CACHE", str(factory.getbasetemp() / "cache"))
        content = llmkit.finetune(str(recipe), overrides, out=folder)
    return Finished(folder, content)
