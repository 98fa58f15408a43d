"""The baselines that need torch: they learn the made-up rows, from the training rows alone, by the recipe's seed."""

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
def prepared_of(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Callable[..., Prepared]:
    """The made-up rows of a task, ready: 256 for training, 32 each for validation and test."""

    def make(task: str, *overrides: str) -> Prepared:
        path = write_recipe(task, tmp_path_factory.mktemp(task), tiny_bert, count=320)
        named = {"task_names": tasks.names(), "task_options": tasks.options}
        return prepare(load.load(str(path), overrides, **named), SILENT)

    return make


def learned(prepared: Prepared, progress: Any = SILENT, *, seed: int = 1) -> dict[str, Any]:
    """Predictions of the neural baselines. seed: the training seed, which differs from the recipe's."""
    with sessions.start(seed=seed, precision="fp32") as session:
        model = load_model(prepared, SILENT)
        training = TrainingRun.start(session, Run(Path("unused")), prepared, model, progress)
        return baselines.run_neural(training, "test")


def value(prepared: Prepared, predictions: Any, metric: str = "accuracy") -> float:
    examples, recipe = prepared.examples, prepared.recipe
    task = prepared.task
    sheet = task.score(
        examples.references["test"], predictions, examples.labels, resampling=recipe.evaluate.resampling(1)
    )
    return sheet.scores[metric].value


def predicted(prepared: Prepared, name: str) -> Any:
    """Predictions of a baseline that needs the examples alone."""
    predict = prepared.task.spec.baselines[name].predict
    assert predict
    return predict(BaselineInputs(prepared.examples, "test", 1))


def recipe_with(baselines: Any, **model: Any) -> Recipe:
    return Recipe(task={}, model=Model(name="x", **model), evaluate=Evaluate(baselines=baselines))


def test_the_slow_ones_are_for_those_who_name_them() -> None:
    task = tasks.load({"name": "classification"})
    assert list(baselines.selected(task, recipe_with(True))) == ["majority", "tfidf", "untuned"]
    assert list(baselines.selected(task, recipe_with(False))) == []
    assert list(baselines.selected(task, recipe_with(["lstm", "majority"]))) == ["majority", "lstm"]
    assert list(baselines.selected(tasks.load({"name": "extractive_qa"}), recipe_with(True))) == [
        "sliding_window"
    ]


def test_a_new_model_has_no_checkpoint_to_be_compared_with() -> None:
    model = Model(from_scratch=Scratch(shape="lstm"), tokenizer="x")
    recipe = Recipe(task={}, model=model)
    assert list(baselines.selected(tasks.load({"name": "classification"}), recipe)) == ["majority", "tfidf"]
    assert list(baselines.selected(tasks.load({"name": "clm"}), recipe)) == []
    assert list(baselines.selected(tasks.load({"name": "clm"}), recipe_with(True))) == ["untuned"]


def test_a_name_that_the_task_does_not_have_is_a_mistake_of_the_recipe(
    prepared_of: Callable[..., Prepared],
) -> None:
    with pytest.raises(RecipeError) as caught:
        prepared_of("classification", "evaluate.baselines=[lstn,tfidf]")
    (problem,) = caught.value.details
    assert (problem.code, problem.place) == ("C09", "evaluate.baselines")
    assert problem.message.startswith('"lstn" is not a baseline of this task') and "lstm" in problem.message
    assert problem.fix == "choose from majority, tfidf, untuned, lstm"


def test_both_learn_and_are_compared(prepared_of: Callable[..., Prepared], listener: Any) -> None:
    prepared = prepared_of("classification", BOTH)
    found = learned(prepared, listener)
    assert list(found) == ["untuned", "lstm"]
    majority = value(prepared, predicted(prepared, "majority"))
    assert value(prepared, found["untuned"]) > majority + 0.1
    assert value(prepared, found["lstm"]) > majority + 0.3
    assert any("base model" in note for note in listener.notes)
    assert "training an LSTM" in listener.works
    model = {"prediction": prepared.examples.references["test"]["labels"]}  # all right
    sheet = prepared.task.score(
        prepared.examples.references["test"],
        model,
        prepared.examples.labels,
        resampling=prepared.recipe.evaluate.resampling(1),
    )
    content = _compare_with_baselines(prepared, "test", model, found, sheet)
    assert list(content["baselines"]) == ["untuned", "lstm"]
    for name, row in zip(found, content["comparisons"], strict=True):
        expected = 1 - content["baselines"][name]["accuracy"]["value"]
        assert row["difference"]["value"] == pytest.approx(expected)
        assert row["called"] in row["sentence"]
        assert row["difference"]["n"] == 32


def test_the_recipes_seed_alone_decides(
    prepared_of: Callable[..., Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines, "MAX_EPOCHS", 2)
    prepared = prepared_of("classification", "evaluate.baselines=[lstm]")
    first, again = learned(prepared), learned(prepared, seed=2)
    assert np.array_equal(first["lstm"]["probabilities"], again["lstm"]["probabilities"])
    reseeded = replace(prepared, recipe=prepared.recipe.model_copy(update={"seed": 2}))
    assert not np.array_equal(learned(reseeded)["lstm"]["probabilities"], first["lstm"]["probabilities"])


def test_of_many_rows_a_drawn_part_is_embedded(
    prepared_of: Callable[..., Prepared], listener: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The golds are then those of the drawn rows."""
    monkeypatch.setattr(baselines, "MAX_EMBEDDED", 150)
    prepared = prepared_of("classification")
    (predictions,) = learned(prepared, listener).values()
    assert any(note.startswith("embedding 182 texts") for note in listener.notes)  # 150 and 32 of the test
    assert value(prepared, predictions) > 0.6


def test_of_much_text_the_simple_baselines_see_a_drawn_part_and_say_so(
    prepared_of: Callable[..., Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepared_of("classification")
    whole, said = baselines.run_simple(prepared, "test")
    assert not said
    texts = list(prepared.examples.corpus.splits["train"].column("text"))
    monkeypatch.setattr(baselines, "MAX_CHARACTERS", -(-sum(map(len, texts)) // 4))
    fewer, said = baselines.run_simple(prepared, "test")
    assert said == ["the simple baselines learned from 64 of the 256 training examples"]
    assert not np.array_equal(fewer["tfidf"]["probabilities"], whole["tfidf"]["probabilities"])
    again, _ = baselines.run_simple(prepared, "test")
    assert np.array_equal(fewer["tfidf"]["probabilities"], again["tfidf"]["probabilities"])
    assert value(prepared, fewer["tfidf"]) > value(prepared, fewer["majority"])


def test_two_texts_are_compared_as_vectors(prepared_of: Callable[..., Prepared]) -> None:
    prepared = prepared_of("pair_regression", "evaluate.baselines=[untuned]")
    (predictions,) = learned(prepared).values()
    assert predictions["prediction"].shape == (32,)
    assert value(prepared, predictions, "pearson") > 0.2


def test_each_has_thresholds_of_its_own(prepared_of: Callable[..., Prepared]) -> None:
    """Where the model's were set on the validation rows, so are theirs."""
    prepared = prepared_of("multi_label", BOTH)
    known = tasks.load(prepared.recipe.task, {"thresholds": [0.0, 0.0, 0.0]})  # the model's
    found = learned(replace(prepared, task=known))
    shares = predicted(prepared, "most_frequent")
    for predictions in found.values():
        assert 0 < predictions["prediction"].mean() < 1
        assert not np.array_equal(predictions["prediction"], predictions["probabilities"] >= 0.5)
        assert value(prepared, predictions, "pr_auc") > value(prepared, shares, "pr_auc")


def test_two_texts_are_where_they_differ_and_what_they_share() -> None:
    first: NDArray[np.float64] = np.array([[1.0, 2.0], [0.0, -1.0]])
    second = np.array([[3.0, 2.0], [0.5, 1.0]])
    assert baselines._combine(first, second).tolist() == [[2, 0, 3, 4], [0.5, 2, 0, -1]]
    assert baselines._combine(second, first).tolist() == baselines._combine(first, second).tolist()
    assert baselines._combine(first) is first


@pytest.mark.parametrize(("losses", "epochs", "kept"), [([3, 1, 2, 2, 9, 0], 5, 2), ([0] * 6, 6, 6)])
def test_it_stops_early_and_keeps_the_best_weights(
    prepared_of: Callable[..., Prepared],
    monkeypatch: pytest.MonkeyPatch,
    losses: list[float],
    epochs: int,
    kept: int,
) -> None:
    """Without validation rows the losses are all 0, and the last weights stay."""
    prepared = prepared_of("classification", "evaluate.baselines=[lstm]")
    seen: list[NDArray[Any]] = []

    def loss(_training: Any, model: Any) -> float:
        seen.append(model.head.weight.detach().numpy().copy())
        return losses[len(seen) - 1]

    models: list[Any] = []
    monkeypatch.setattr(baselines, "MAX_EPOCHS", 6)
    monkeypatch.setattr(baselines, "_validation_loss", loss)
    monkeypatch.setattr(baselines, "tune", lambda run, _model: run.prepared)
    monkeypatch.setattr(TrainingRun, "predict", lambda _run, model, _split: models.append(model))
    learned(prepared)
    assert len(seen) == epochs
    assert np.array_equal(models[0].head.weight.detach().numpy(), seen[kept - 1])
