"""The description of the schema in words."""

from typing import Literal

import pytest
from pydantic import Field

from llmkit.recipe.describe import collect_sections, describe_field, describe_item, format_schema
from llmkit.recipe.schema import Data, Evaluate, Lora, Model, Recipe, Section, Train
from llmkit.recipe.yaml import KeyPath


@pytest.mark.parametrize(
    ("model", "key", "words"),
    [
        (Train, "batch_size", "an integer >= 1"),
        (Train, "epochs", "a number > 0, or null"),
        (Train, "micro_batch_tokens", "auto or an integer >= 1"),
        (Train, "schedule", "linear, cosine or constant"),
        (Train, "truncation", "true or false"),
        (Evaluate, "confidence", "a number > 0.5 and < 1"),
        (Data, "train", "a string, a list of strings, or null"),
        (Data, "columns", "a mapping"),
        (Lora, "targets", "auto or a list of strings"),
        (Model, "name", "a non-empty string, or null"),
    ],
)
def test_allowed_values_of_a_key_are_described(model: type[Section], key: str, words: str) -> None:
    assert describe_field(model, key) == words


def test_allowed_items_of_a_key_are_described() -> None:
    assert describe_item(Data, "train") == "a string"
    assert describe_item(Data, "columns") == "a string"


def test_sections_are_collected_at_any_depth() -> None:
    assert collect_sections(Recipe)["model", "lora"] is Lora
    assert collect_sections(Recipe)[()] is Recipe


def test_schema_table_lists_every_key_within_100_characters(options: type[Section]) -> None:
    text = format_schema({"classification": options})
    assert max(map(len, text.splitlines())) <= 100
    first_words = [line.split(" ")[0] for line in text.splitlines()]
    for path, model in collect_sections(Recipe).items():
        for key in model.model_fields:
            assert (*path, key) in collect_sections(Recipe) or ".".join([*path, key]) in first_words
    assert "model.lora" in first_words
    assert "task.label_smoothing" in first_words


@pytest.mark.parametrize("path", collect_sections(Recipe), ids=lambda path: ".".join(path) or "top")
def test_every_key_and_section_is_described(path: KeyPath) -> None:
    model = collect_sections(Recipe)[path]
    assert model.__doc__
    undescribed = [key for key, field in model.model_fields.items() if not field.description]
    assert [key for key in undescribed if (*path, key) not in collect_sections(Recipe)] == []


def test_rows_of_the_schema_table() -> None:
    class Options(Section):
        """One label per text.

        Further details.
        """

        weights: Literal["none", "balanced"] = "none"
        """Class weights in the loss."""
        names: list[str] = Field(default=["a"])
        """Names."""

    text = format_schema({"classification": Options})
    assert "# task.name: classification: One label per text.\n" in text
    assert (
        "task.weights                  none or balanced          none      Class weights in the loss.\n"
        in text
    )
    assert 'task.names                    a list of strings         ["a"]     Names.\n' in text
