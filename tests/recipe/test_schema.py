"""Sections: frozen, strict, nothing unknown accepted, every field explained."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from pydantic import ValidationError

from llmkit.recipe import schema
from llmkit.recipe.schema import Data, Evaluate, Model, Recipe, Scratch, Section, Train

SECTIONS = [
    value
    for value in vars(schema).values()
    if inspect.isclass(value) and issubclass(value, Section) and value is not Section
]
MINIMAL: dict[str, Any] = {"task": {"name": "classification"}, "model": {"name": "m"}}


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_field_is_explained_in_a_sentence(section: type[Section]) -> None:
    assert section.__doc__
    for name, field in section.model_fields.items():
        nested = inspect.isclass(field.annotation) and issubclass(field.annotation, Section)
        assert nested or (field.description or "").endswith("."), name


def test_a_recipe_needs_a_task_and_a_model_only() -> None:
    recipe = Recipe.model_validate(MINIMAL)
    assert (recipe.seed, recipe.train, recipe.data) == (1, Train(), Data())
    with pytest.raises(ValidationError):
        Recipe.model_validate({"task": {"name": "classification"}})


def test_values_cannot_be_changed_later() -> None:
    recipe = Recipe.model_validate(MINIMAL)
    with pytest.raises(ValidationError, match="frozen"):
        recipe.train.learning_rate = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (Train, "lr", 1e-5),  # unknown
        (Train, "learning_rate", 0.0),
        (Train, "learning_rate", float("nan")),
        (Train, "learning_rate", float("inf")),
        (Train, "learning_rate", "1e-5"),  # text is no number
        (Train, "batch_size", 8.0),
        (Train, "batch_size", True),
        (Train, "batch_size", 0),
        (Train, "epochs", 0),
        (Train, "max_steps", 0),
        (Train, "max_length", 1),
        (Train, "warmup_ratio", 1.0),
        (Train, "micro_batch_tokens", 0),
        (Train, "micro_batch_tokens", "many"),
        (Train, "precision", "fp8"),
        (Train, "truncation", 1),
        (Data, "validation_share", 1.0),
        (Data, "columns", {"text": 3.5}),
        (Evaluate, "confidence", 0.5),
        (Evaluate, "resamples", 99),
        (schema.Lora, "rank", 0),
        (schema.Lora, "alpha", 0.0),
        (schema.Lora, "dropout", 1.0),
        (schema.Model, "name", ""),
        (schema.Checkpoint, "keep", 0),
    ],
)
def test_what_is_out_of_range_or_of_another_type_is_refused(
    section: type[Section], key: str, value: object
) -> None:
    needed = {"name": "m"} if section is schema.Model else {}
    section.model_validate(needed)
    with pytest.raises(ValidationError):
        section.model_validate({**needed, key: value})


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5])
def test_a_seed_is_a_number_that_every_generator_takes(seed: object) -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate({**MINIMAL, "seed": seed})


def test_whole_numbers_are_floats_too() -> None:
    assert Train.model_validate({"epochs": 3, "weight_decay": 0}).epochs == 3.0


def test_epochs_and_max_steps_exclude_each_other() -> None:
    assert Train(max_steps=3).epochs is None
    with pytest.raises(ValidationError, match="exclude each other"):
        Train(epochs=1.0, max_steps=3)


def test_a_model_from_scratch_is_named_after_its_shape() -> None:
    model = Model(from_scratch=Scratch(shape="gpt2"), tokenizer="folder")
    assert (model.title, model.source) == ("gpt2 from scratch", "folder")
    assert (Model(name="m").title, Model(name="m").source) == ("m", "m")


@pytest.mark.parametrize(("hidden", "heads"), [(32, 1), (256, 4), (384, 6)])
def test_there_is_a_head_for_each_64_of_the_width(hidden: int, heads: int) -> None:
    assert Scratch(shape="bert", hidden=hidden).attention_heads == heads


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"shape": "lstm", "heads": 2}, "no heads"),
        ({"shape": "bert", "hidden": 100, "heads": 3}, "multiple of 3"),
        ({"shape": "llama", "hidden": 30, "heads": 2}, "multiple of 4"),  # pairs of 15 numbers
        ({"shape": "rnn"}, "shape"),
        ({"shape": "bert", "layers": 0}, "layers"),
        ({"shape": "bert", "dropout": 1.0}, "dropout"),
    ],
)
def test_sizes_that_make_no_model_are_refused(content: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Scratch.model_validate(content)


@pytest.mark.parametrize(
    "content",
    [
        {"from_scratch": {"shape": "bert"}},  # whose vocabulary?
        {"from_scratch": {"shape": "bert"}, "tokenizer": "t", "name": "m"},
        {"from_scratch": {"shape": "bert"}, "tokenizer": "t", "lora": {}},
        {"from_scratch": {"shape": "bert"}, "tokenizer": "t", "new_head": True},
        {"name": "m", "tokenizer": "t"},
    ],
)
def test_what_goes_together_with_new_weights(content: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Model.model_validate(content)
