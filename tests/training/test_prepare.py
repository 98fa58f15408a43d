"""Preparation finds all errors before weights are loaded, encodes the splits, and plans the schedule."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmkit.base.errors import DataError, ModelError, RecipeError, UserError
from llmkit.base.progress import SILENT
from llmkit.recipe.schema import Recipe
from llmkit.tasks.classification import Options
from llmkit.training import prepare as module
from llmkit.training.prepare import prepare, read_rows

MakeRecipe = Callable[..., Recipe]


def error_of(recipe: Recipe, kind: type[UserError]) -> str:
    with pytest.raises(kind) as caught:
        prepare(recipe, SILENT)
    (line,) = caught.value.lines()
    return line


def test_all_splits_are_encoded_and_the_schedule_is_planned(recipe_of: MakeRecipe, listener: Any) -> None:
    prepared = prepare(recipe_of(), listener)
    assert {split: len(encoded) for split, encoded in prepared.encoded.items()} == {
        "train": 128,
        "validation": 16,
        "test": 16,
    }
    schedule = prepared.schedule
    assert (schedule.peak, schedule.total_steps, schedule.warmup_steps) == (3e-3, 6 * 16, 6)
    assert (prepared.evaluate_every, prepared.checkpoint_every) == (16, 16)
    assert any("160 rows split" in note for note in listener.notes)
    for split, rows in prepared.examples.corpus.splits.items():
        ids = [prepared.tokenizer(text)["input_ids"] for text in rows.column("text")]
        assert ids == [list(row) for row in prepared.encoded[split].ragged["input_ids"]]


@pytest.mark.parametrize(
    ("overrides", "steps"),
    [
        (["train.epochs=0.5"], 8),
        (["train.epochs=1.1"], 18),
        (["train.epochs=null"], 48),  # three by default
        (["train.epochs=null", "train.max_steps=5"], 5),
        (["train.epochs=1", "train.batch_size=50"], 3),  # of 50, 50 and 28 examples
    ],
)
def test_total_steps_follow_epochs_and_max_steps(
    recipe_of: MakeRecipe, overrides: list[str], steps: int
) -> None:
    assert prepare(recipe_of(*overrides), SILENT).schedule.total_steps == steps


def test_intervals_can_be_set(recipe_of: MakeRecipe) -> None:
    prepared = prepare(recipe_of("evaluate.every_steps=7", "checkpoint.every_steps=9"), SILENT)
    assert (prepared.evaluate_every, prepared.checkpoint_every) == (7, 9)


def test_task_options_come_from_the_recipe(recipe_of: MakeRecipe) -> None:
    prepared = prepare(recipe_of("task.label_smoothing=0.1"), SILENT)
    assert prepared.task.options == Options(label_smoothing=0.1)


def test_unknown_metric_is_an_error_before_the_data_is_read(
    recipe_of: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the data was read")

    monkeypatch.setattr(module, "read_rows", never)
    line = error_of(recipe_of("evaluate.best=acuracy"), RecipeError)
    assert line.startswith(
        'error[E01] evaluate.best: "acuracy" is not a metric of this task; did you mean "accuracy"? Fix: '
    )
    with pytest.raises(RecipeError) as caught:
        prepare(recipe_of("evaluate.metrics=[f1, bleu]", "evaluate.best=rouge"), SILENT)
    assert [error.place for error in caught.value.details] == ["evaluate.best", "evaluate.metrics"]


def test_splits_with_share_0_are_not_made(recipe_of: MakeRecipe) -> None:
    prepared = prepare(recipe_of("data.test_share=0"), SILENT)
    assert set(prepared.encoded) == {"train", "validation"}
    prepared = prepare(recipe_of("data.validation_share=0"), SILENT)
    assert set(prepared.encoded) == {"train", "test"}


def test_run_without_validation_and_test_set_is_an_error(recipe_of: MakeRecipe) -> None:
    line = error_of(recipe_of("data.test_share=0", "data.validation_share=0"), RecipeError)
    assert line.startswith("error[C10] data.test_share: there is neither a validation nor a test set")


def test_named_test_file_is_not_split(recipe_of: MakeRecipe, make_reviews: Any, tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in make_reviews(20, 7)))
    prepared = prepare(recipe_of(f"data.test={path}"), SILENT)
    assert {split: len(encoded) for split, encoded in prepared.encoded.items()} == {
        "train": 144,
        "validation": 16,
        "test": 20,
    }


def test_columns_can_be_mapped(recipe_of: MakeRecipe, make_reviews: Any, tmp_path: Path) -> None:
    path = tmp_path / "named.jsonl"
    rows = [{"sentence": row["text"], "polarity": row["label"]} for row in make_reviews(30, 7)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = recipe_of(f"data.train={path}", "data.columns.text=sentence", "data.columns.label=polarity")
    prepared = prepare(recipe, SILENT)
    corpus = read_rows(recipe.data, prepared.task, SILENT)
    assert corpus.splits["train"].column("text") == [row["sentence"] for row in rows]
    assert prepared.examples.labels == ("negative", "positive")


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (
            "data.columns.txt=a",
            'error[C03] data.columns.txt: the task has no column "txt"; did you mean "text"?',
        ),
        ("data.columns.text=label", 'error[C10] data.columns: column "label" of the file is used twice'),
        ("train.max_length=65", "error[C09] train.max_length: 65 tokens are more than the 64 positions"),
    ],
)
def test_invalid_settings_are_errors(recipe_of: MakeRecipe, override: str, line: str) -> None:
    assert error_of(recipe_of(override), RecipeError).startswith(line)


def test_long_texts_are_errors_unless_truncation_is_on(recipe_of: MakeRecipe) -> None:
    line = error_of(recipe_of("train.max_length=12"), DataError)
    assert line.startswith("error[L12] ")
    assert "train.truncation=true" in line
    prepared = prepare(recipe_of("train.max_length=12", "train.truncation=true"), SILENT)
    assert prepared.encoded["train"].lengths.max() == 12
    assert prepared.encoded["train"].counts.cut_examples > 0


def test_head_for_other_labels_is_an_error(recipe_of: MakeRecipe, finished: Any) -> None:
    """The finished model has the labels negative and positive, in this order."""
    model = finished.path / "model"
    prepare(recipe_of(f"model.name={model}"), SILENT)
    changed = recipe_of(f"model.name={model}", "data.labels=[positive, negative]")
    assert error_of(changed, ModelError).startswith("error[L11]")
    replaced = recipe_of(f"model.name={model}", "data.labels=[positive, negative]", "model.new_head=true")
    assert prepare(replaced, SILENT).examples.labels == ("positive", "negative")


def test_encodings_are_cached(recipe_of: MakeRecipe, listener: Any, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path / "empty"))

    def count_tokenizations() -> int:
        return sum(what.startswith("tokenizing") for what in listener.works)

    prepare(recipe_of(), listener)
    assert count_tokenizations() == 3
    prepare(recipe_of("train.learning_rate=1e-3"), listener)
    assert count_tokenizations() == 3
    prepare(recipe_of("seed=2"), listener)  # other examples in each split
    assert count_tokenizations() == 6
    prepare(recipe_of("train.max_length=40"), listener)
    assert count_tokenizations() == 9
