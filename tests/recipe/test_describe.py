"""The schema in plain words, read off the models."""

from typing import Literal

import pytest
from pydantic import Field

from llmkit.recipe.describe import collect_sections, describe_field, describe_item, format_schema
from llmkit.recipe.schema import Data, Evaluate, Lora, Model, Recipe, Section, Train
from llmkit.recipe.yaml import KeyPath


@pytest.mark.parametrize(
    ("model", "key", "words"),
    [
        (Train, "batch_size", "a whole number of at least 1"),
        (Train, "epochs", "a number above 0, or null"),
        (Train, "micro_batch_tokens", "auto or a whole number of at least 1"),
        (Train, "schedule", "linear, cosine or constant"),
        (Train, "truncation", "true or false"),
        (Evaluate, "confidence", "a number above 0.5 and below 1"),
        (Data, "train", "a text, a list of texts, or null"),
        (Data, "columns", "a section with keys of its own"),
        (Lora, "targets", "auto or a list of texts"),
        (Model, "name", "a text that is not empty, or null"),
    ],
)
def test_what_a_key_may_hold(model: type[Section], key: str, words: str) -> None:
    assert describe_field(model, key) == words


def test_what_an_item_may_be() -> None:
    assert describe_item(Data, "train") == "a text"
    assert describe_item(Data, "columns") == "a text"


def test_sections_are_found_at_any_depth() -> None:
    assert collect_sections(Recipe)["model", "lora"] is Lora
    assert collect_sections(Recipe)[()] is Recipe


def test_the_table_holds_every_key_with_its_meaning_in_100_columns(options: type[Section]) -> None:
    text = format_schema({"classification": options})
    assert max(map(len, text.splitlines())) <= 100
    first_words = [line.split(" ")[0] for line in text.splitlines()]
    for where, model in collect_sections(Recipe).items():
        for key in model.model_fields:
            assert (*where, key) in collect_sections(Recipe) or ".".join([*where, key]) in first_words
    assert "model.lora" in first_words
    assert "task.label_smoothing" in first_words


@pytest.mark.parametrize("where", collect_sections(Recipe), ids=lambda where: ".".join(where) or "top")
def test_every_key_and_section_has_a_meaning(where: KeyPath) -> None:
    model = collect_sections(Recipe)[where]
    assert model.__doc__
    bare = [key for key, field in model.model_fields.items() if not field.description]
    assert [key for key in bare if (*where, key) not in collect_sections(Recipe)] == []


def test_a_row_of_the_table() -> None:
    class Options(Section):
        """One label a text.

        More about it.
        """

        weights: Literal["none", "balanced"] = "none"
        """How much each class counts."""
        names: list[str] = Field(default=["a"])
        """Names."""

    text = format_schema({"classification": Options})
    assert "# task.name: classification: One label a text.\n" in text
    assert (
        "task.weights                  none or balanced          none      How much each class counts.\n"
        in text
    )
    assert 'task.names                    a list of texts           ["a"]     Names.\n' in text
