"""The sections of a recipe: documented, immutable, and strict about keys, types and ranges."""

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
def test_every_field_is_described_in_a_sentence(section: type[Section]) -> None:
    assert section.__doc__
    for name, field in section.model_fields.items():
        nested = inspect.isclass(field.annotation) and issubclass(field.annotation, Section)
        assert nested or (field.description or "").endswith("."), name


def test_recipe_requires_only_a_task_and_a_model() -> None:
    recipe = Recipe.model_validate(MINIMAL)
    assert (recipe.seed, recipe.train, recipe.data) == (1, Train(), Data())
    with pytest.raises(ValidationError):
        Recipe.model_validate({"task": {"name": "classification"}})


def test_recipe_is_immutable() -> None:
    recipe = Recipe.model_validate(MINIMAL)
    with pytest.raises(ValidationError, match="frozen"):
        recipe.train.learning_rate = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (Train, "lr", 1e-5),  # unknown key
        (Train, "learning_rate", 0.0),
        (Train, "learning_rate", float("nan")),
        (Train, "learning_rate", float("inf")),
        (Train, "learning_rate", "1e-5"),  # a string, not a number
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
def test_unknown_key_wrong_type_and_out_of_range_value_are_errors(
    section: type[Section], key: str, value: object
) -> None:
    required = {"name": "m"} if section is schema.Model else {}
    section.model_validate(required)
    with pytest.raises(ValidationError):
        section.model_validate({**required, key: value})


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5])
def test_seed_outside_32_bits_is_an_error(seed: object) -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate({**MINIMAL, "seed": seed})


def test_integers_are_accepted_as_floats() -> None:
    assert Train.model_validate({"epochs": 3, "weight_decay": 0}).epochs == 3.0


def test_epochs_and_max_steps_exclude_each_other() -> None:
    assert Train(max_steps=3).epochs is None
    with pytest.raises(ValidationError, match="exclude each other"):
        Train(epochs=1.0, max_steps=3)


def test_title_and_source_of_a_model_from_scratch() -> None:
    model = Model(from_scratch=Scratch(shape="gpt2"), tokenizer="folder")
    assert (model.title, model.source) == ("gpt2 from scratch", "folder")
    assert (Model(name="m").title, Model(name="m").source) == ("m", "m")


@pytest.mark.parametrize(("hidden", "heads"), [(32, 1), (256, 4), (384, 6)])
def test_default_number_of_heads_is_width_divided_by_64(hidden: int, heads: int) -> None:
    assert Scratch(shape="bert", hidden=hidden).attention_heads == heads


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"shape": "lstm", "heads": 2}, "no attention heads"),
        ({"shape": "bert", "hidden": 100, "heads": 3}, "multiple of 3"),
        ({"shape": "llama", "hidden": 30, "heads": 2}, "multiple of 4"),  # heads of width 15, which is odd
        ({"shape": "rnn"}, "shape"),
        ({"shape": "bert", "layers": 0}, "layers"),
        ({"shape": "bert", "dropout": 1.0}, "dropout"),
    ],
)
def test_invalid_architecture_is_an_error(content: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Scratch.model_validate(content)


@pytest.mark.parametrize(
    "content",
    [
        {"from_scratch": {"shape": "bert"}},  # no tokenizer
        {"from_scratch": {"shape": "bert"}, "tokenizer": "t", "name": "m"},
        {"from_scratch": {"shape": "bert"}, "tokenizer": "t", "lora": {}},
        {"from_scratch": {"shape": "bert"}, "tokenizer": "t", "new_head": True},
        {"name": "m", "tokenizer": "t"},
    ],
)
def test_conflicting_model_settings_are_an_error(content: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Model.model_validate(content)
