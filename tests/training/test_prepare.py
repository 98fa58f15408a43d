"""From recipe to examples: every mistake found before weights are loaded, the schedule right."""

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


def refusal(recipe: Recipe, kind: type[UserError]) -> str:
    with pytest.raises(kind) as caught:
        prepare(recipe, SILENT)
    (line,) = caught.value.lines()
    return line


def test_all_parts_are_encoded_and_the_schedule_follows(recipe_of: MakeRecipe, listener: Any) -> None:
    prepared = prepare(recipe_of(), listener)
    assert {part: len(of_part) for part, of_part in prepared.encoded.items()} == {
        "train": 128,
        "validation": 16,
        "test": 16,
    }
    schedule = prepared.schedule
    assert (schedule.peak, schedule.total_steps, schedule.warmup_steps) == (3e-3, 6 * 16, 6)
    assert (prepared.evaluate_every, prepared.checkpoint_every) == (16, 16)
    assert any("160 rows split" in note for note in listener.notes)
    for part, rows in prepared.examples.corpus.splits.items():
        ids = [prepared.tokenizer(text)["input_ids"] for text in rows.column("text")]
        assert ids == [list(row) for row in prepared.encoded[part].ragged["input_ids"]]


@pytest.mark.parametrize(
    ("overrides", "steps"),
    [
        (["train.epochs=0.5"], 8),
        (["train.epochs=1.1"], 18),
        (["train.epochs=null"], 48),  # three by default
        (["train.epochs=null", "train.max_steps=5"], 5),
        (["train.epochs=1", "train.batch_size=50"], 3),  # 50, 50 and the 28 that are left
    ],
)
def test_steps_are_those_asked_for(recipe_of: MakeRecipe, overrides: list[str], steps: int) -> None:
    assert prepare(recipe_of(*overrides), SILENT).schedule.total_steps == steps


def test_intervals_are_those_asked_for(recipe_of: MakeRecipe) -> None:
    prepared = prepare(recipe_of("evaluate.every_steps=7", "checkpoint.every_steps=9"), SILENT)
    assert (prepared.evaluate_every, prepared.checkpoint_every) == (7, 9)


def test_the_tasks_options_come_from_the_recipe(recipe_of: MakeRecipe) -> None:
    prepared = prepare(recipe_of("task.label_smoothing=0.1"), SILENT)
    assert prepared.task.options == Options(label_smoothing=0.1)


def test_an_unknown_score_is_refused_before_the_data_is_read(
    recipe_of: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the data was read")

    monkeypatch.setattr(module, "read_rows", never)
    line = refusal(recipe_of("evaluate.best=acuracy"), RecipeError)
    assert line.startswith(
        'error[E01] evaluate.best: "acuracy" is not a metric of this task; did you mean "accuracy"? Fix: '
    )
    with pytest.raises(RecipeError) as caught:
        prepare(recipe_of("evaluate.metrics=[f1, bleu]", "evaluate.best=rouge"), SILENT)
    assert [problem.place for problem in caught.value.details] == ["evaluate.best", "evaluate.metrics"]


def test_parts_that_the_recipe_does_not_want_are_not_made(recipe_of: MakeRecipe) -> None:
    prepared = prepare(recipe_of("data.test_share=0"), SILENT)
    assert set(prepared.encoded) == {"train", "validation"}
    prepared = prepare(recipe_of("data.validation_share=0"), SILENT)
    assert set(prepared.encoded) == {"train", "test"}


def test_a_run_without_validation_and_test_set_is_refused(recipe_of: MakeRecipe) -> None:
    line = refusal(recipe_of("data.test_share=0", "data.validation_share=0"), RecipeError)
    assert line.startswith("error[C10] data.test_share: there is neither a validation nor a test set")


def test_named_parts_are_read_and_not_split_again(
    recipe_of: MakeRecipe, make_reviews: Any, tmp_path: Path
) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in make_reviews(20, 7)))
    prepared = prepare(recipe_of(f"data.test={path}"), SILENT)
    assert {part: len(of_part) for part, of_part in prepared.encoded.items()} == {
        "train": 144,
        "validation": 16,
        "test": 20,
    }


def test_columns_have_the_names_of_the_file(recipe_of: MakeRecipe, make_reviews: Any, tmp_path: Path) -> None:
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
def test_settings_that_cannot_hold_are_refused(recipe_of: MakeRecipe, override: str, line: str) -> None:
    assert refusal(recipe_of(override), RecipeError).startswith(line)


def test_long_texts_are_cut_only_if_the_recipe_says_so(recipe_of: MakeRecipe) -> None:
    line = refusal(recipe_of("train.max_length=12"), DataError)
    assert line.startswith("error[L12] ")
    assert "train.truncation=true" in line
    prepared = prepare(recipe_of("train.max_length=12", "train.truncation=true"), SILENT)
    assert prepared.encoded["train"].lengths.max() == 12
    assert prepared.encoded["train"].counts.cut_examples > 0


def test_a_head_for_other_labels_is_refused(recipe_of: MakeRecipe, finished: Any) -> None:
    """The finished model knows negative and positive; the recipe would call them by numbers."""
    model = finished.path / "model"
    prepare(recipe_of(f"model.name={model}"), SILENT)
    changed = recipe_of(f"model.name={model}", "data.labels=[positive, negative]")
    assert refusal(changed, ModelError).startswith("error[L11]")
    replaced = recipe_of(f"model.name={model}", "data.labels=[positive, negative]", "model.new_head=true")
    assert prepare(replaced, SILENT).examples.labels == ("positive", "negative")


def test_texts_are_tokenized_once(
    recipe_of: MakeRecipe, listener: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path / "empty"))

    def tokenized() -> int:
        return sum(what.startswith("tokenizing") for what in listener.works)

    prepare(recipe_of(), listener)
    assert tokenized() == 3
    prepare(recipe_of("train.learning_rate=1e-3"), listener)
    assert tokenized() == 3
    prepare(recipe_of("seed=2"), listener)  # other rows in each part
    assert tokenized() == 6
    prepare(recipe_of("train.max_length=40"), listener)
    assert tokenized() == 9
