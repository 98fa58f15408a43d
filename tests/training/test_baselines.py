"""Baselines learn synthetic data, from the training set alone, and depend on the recipe's seed alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from llmkit import tasks
from llmkit.base.errors import RecipeError
from llmkit.base.progress import SILENT
from llmkit.base.run import Run
from llmkit.engine import session as sessions
from llmkit.recipe import load
from llmkit.recipe.schema import Evaluate, Model, Recipe, Scratch
from llmkit.tasks.protocol import BaselineInputs
from llmkit.training import baselines
from llmkit.training.finalize import _compare_with_baselines
from llmkit.training.model import load_model
from llmkit.training.prepare import Prepared, prepare
from llmkit.training.training_run import TrainingRun
from tests.samples import write_recipe

BOTH = "evaluate.baselines=[untuned,lstm]"


@pytest.fixture(scope="module")
def prepare_task(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Callable[..., Prepared]:
    """Prepare the synthetic data of a task: 256 examples for training, 32 each for validation and test."""

    def make(task: str, *overrides: str) -> Prepared:
        path = write_recipe(task, tmp_path_factory.mktemp(task), tiny_bert, count=320)
        options = {"task_names": tasks.names(), "task_options": tasks.options}
        return prepare(load.load(str(path), overrides, **options), SILENT)

    return make


def run_neural(prepared: Prepared, progress: Any = SILENT, *, seed: int = 1) -> dict[str, Any]:
    """Return the predictions of the neural baselines. `seed` is the training seed, not the recipe's."""
    with sessions.start(seed=seed, precision="fp32") as session:
        model = load_model(prepared, SILENT)
        training = TrainingRun.start(session, Run(Path("unused")), prepared, model, progress)
        return baselines.run_neural(training, "test")


def score(prepared: Prepared, predictions: Any, metric: str = "accuracy") -> float:
    examples, recipe = prepared.examples, prepared.recipe
    task = prepared.task
    sheet = task.score(
        examples.references["test"], predictions, examples.labels, resampling=recipe.evaluate.resampling(1)
    )
    return sheet.scores[metric].value


def run_simple(prepared: Prepared, name: str) -> Any:
    """Return the predictions of a baseline that needs the examples alone."""
    predict = prepared.task.spec.baselines[name].predict
    assert predict
    return predict(BaselineInputs(prepared.examples, "test", 1))


def recipe_with(baselines: Any, **model: Any) -> Recipe:
    return Recipe(task={}, model=Model(name="x", **model), evaluate=Evaluate(baselines=baselines))


def test_lstm_runs_only_when_named() -> None:
    task = tasks.load({"name": "classification"})
    assert list(baselines.selected(task, recipe_with(True))) == ["majority", "tfidf", "untuned"]
    assert list(baselines.selected(task, recipe_with(False))) == []
    assert list(baselines.selected(task, recipe_with(["lstm", "majority"]))) == ["majority", "lstm"]
    assert list(baselines.selected(tasks.load({"name": "extractive_qa"}), recipe_with(True))) == [
        "sliding_window"
    ]


def test_model_from_scratch_has_no_base_model_baseline() -> None:
    model = Model(from_scratch=Scratch(shape="lstm"), tokenizer="x")
    recipe = Recipe(task={}, model=model)
    assert list(baselines.selected(tasks.load({"name": "classification"}), recipe)) == ["majority", "tfidf"]
    assert list(baselines.selected(tasks.load({"name": "clm"}), recipe)) == []
    assert list(baselines.selected(tasks.load({"name": "clm"}), recipe_with(True))) == ["untuned"]


def test_unknown_baseline_is_an_error(
    prepare_task: Callable[..., Prepared],
) -> None:
    with pytest.raises(RecipeError) as caught:
        prepare_task("classification", "evaluate.baselines=[lstn,tfidf]")
    (error,) = caught.value.details
    assert (error.code, error.place) == ("C09", "evaluate.baselines")
    assert error.message.startswith('"lstn" is not a baseline of this task') and "lstm" in error.message
    assert error.fix == "choose from majority, tfidf, untuned, lstm"


def test_neural_baselines_learn_and_are_compared(
    prepare_task: Callable[..., Prepared], listener: Any
) -> None:
    prepared = prepare_task("classification", BOTH)
    predictions = run_neural(prepared, listener)
    assert list(predictions) == ["untuned", "lstm"]
    majority = score(prepared, run_simple(prepared, "majority"))
    assert score(prepared, predictions["untuned"]) > majority + 0.1
    assert score(prepared, predictions["lstm"]) > majority + 0.3
    assert any("base model" in note for note in listener.notes)
    assert "training an LSTM" in listener.works
    model = {"prediction": prepared.examples.references["test"]["labels"]}  # all correct
    sheet = prepared.task.score(
        prepared.examples.references["test"],
        model,
        prepared.examples.labels,
        resampling=prepared.recipe.evaluate.resampling(1),
    )
    scores, comparisons = _compare_with_baselines(prepared, "test", model, predictions, sheet)
    assert list(scores) == ["untuned", "lstm"]
    for name, comparison in zip(predictions, comparisons, strict=True):
        assert comparison.difference.value == pytest.approx(1 - scores[name]["accuracy"].value)
        assert comparison.title in comparison.sentence
        assert comparison.difference.n == 32


def test_baselines_depend_on_the_recipe_seed_alone(
    prepare_task: Callable[..., Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines, "MAX_EPOCHS", 2)
    prepared = prepare_task("classification", "evaluate.baselines=[lstm]")
    first, again = run_neural(prepared), run_neural(prepared, seed=2)
    assert np.array_equal(first["lstm"]["probabilities"], again["lstm"]["probabilities"])
    reseeded = replace(prepared, recipe=prepared.recipe.model_copy(update={"seed": 2}))
    assert not np.array_equal(run_neural(reseeded)["lstm"]["probabilities"], first["lstm"]["probabilities"])


def test_large_training_sets_are_sampled_for_embedding(
    prepare_task: Callable[..., Prepared], listener: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The references are sampled with the examples."""
    monkeypatch.setattr(baselines, "MAX_EMBEDDED", 150)
    prepared = prepare_task("classification")
    (predictions,) = run_neural(prepared, listener).values()
    assert any(
        note.startswith("embedding 182 texts") for note in listener.notes
    )  # 150 for training and 32 for testing
    assert score(prepared, predictions) > 0.6


def test_large_training_sets_are_sampled_for_simple_baselines(
    prepare_task: Callable[..., Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare_task("classification")
    whole, notes = baselines.run_simple(prepared, "test")
    assert not notes
    texts = list(prepared.examples.corpus.splits["train"].column("text"))
    monkeypatch.setattr(baselines, "MAX_CHARACTERS", -(-sum(map(len, texts)) // 4))
    fewer, notes = baselines.run_simple(prepared, "test")
    assert notes == ["the simple baselines learned from 64 of the 256 training examples"]
    assert not np.array_equal(fewer["tfidf"]["probabilities"], whole["tfidf"]["probabilities"])
    again, _ = baselines.run_simple(prepared, "test")
    assert np.array_equal(fewer["tfidf"]["probabilities"], again["tfidf"]["probabilities"])
    assert score(prepared, fewer["tfidf"]) > score(prepared, fewer["majority"])


def test_pairs_are_represented_by_both_embeddings(prepare_task: Callable[..., Prepared]) -> None:
    prepared = prepare_task("pair_regression", "evaluate.baselines=[untuned]")
    (predictions,) = run_neural(prepared).values()
    assert predictions["prediction"].shape == (32,)
    assert score(prepared, predictions, "pearson") > 0.2


def test_baselines_tune_their_own_thresholds(prepare_task: Callable[..., Prepared]) -> None:
    """They are tuned on the validation set, as those of the model are."""
    prepared = prepare_task("multi_label", BOTH)
    tuned = tasks.load(prepared.recipe.task, {"thresholds": [0.0, 0.0, 0.0]})  # thresholds of the model
    by_baseline = run_neural(replace(prepared, task=tuned))
    shares = run_simple(prepared, "most_frequent")
    for predictions in by_baseline.values():
        assert 0 < predictions["prediction"].mean() < 1
        assert not np.array_equal(predictions["prediction"], predictions["probabilities"] >= 0.5)
        assert score(prepared, predictions, "pr_auc") > score(prepared, shares, "pr_auc")


def test_pair_representation_is_difference_and_product() -> None:
    u: NDArray[np.float64] = np.array([[1.0, 2.0], [0.0, -1.0]])
    v = np.array([[3.0, 2.0], [0.5, 1.0]])
    assert baselines._represent_pair(u, v).tolist() == [[2, 0, 3, 4], [0.5, 2, 0, -1]]
    assert baselines._represent_pair(v, u).tolist() == baselines._represent_pair(u, v).tolist()


@pytest.mark.parametrize(("losses", "epochs", "best"), [([3, 1, 2, 2, 9, 0], 5, 2), ([0] * 6, 6, 6)])
def test_lstm_stops_early_and_keeps_the_best_weights(
    prepare_task: Callable[..., Prepared],
    monkeypatch: pytest.MonkeyPatch,
    losses: list[float],
    epochs: int,
    best: int,
) -> None:
    """Without a validation set all losses are 0, and the last weights are kept."""
    prepared = prepare_task("classification", "evaluate.baselines=[lstm]")
    weights: list[NDArray[Any]] = []

    def loss(_training: Any, model: Any) -> float:
        weights.append(model.head.weight.detach().numpy().copy())
        return losses[len(weights) - 1]

    models: list[Any] = []
    monkeypatch.setattr(baselines, "MAX_EPOCHS", 6)
    monkeypatch.setattr(baselines, "_validation_loss", loss)
    monkeypatch.setattr(baselines, "tune", lambda run, _model: run.prepared)
    monkeypatch.setattr(TrainingRun, "predict", lambda _run, model, _split: models.append(model))
    run_neural(prepared)
    assert len(weights) == epochs
    assert np.array_equal(models[0].head.weight.detach().numpy(), weights[best - 1])
