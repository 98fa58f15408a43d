"""What translation and summarization share: columns, checks, losses, generated texts, scores, records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

import llmkit
from llmkit import tasks
from llmkit.base.errors import DataError, ModelError, RecipeError
from llmkit.data.checks.columns import object_array
from llmkit.data.encoding.features import Encoded
from llmkit.engine.generation.generate import IGNORED
from llmkit.metrics.resampling import Resampling
from llmkit.models import load
from llmkit.recipe.schema import Data
from tests.samples import rows, write_recipe

NAMES = ("translation", "summarization")
SHARES = {"validation_share": 0.0, "test_share": 0.0}

each_task = pytest.mark.parametrize("name", NAMES)


def make_task(name: str, checkpoint: Path | None = None, **options: Any) -> Any:
    """Make the task, for a base model if there is one."""
    task = tasks.load({"name": name, **options})
    if checkpoint is None:
        return task
    config = json.loads((checkpoint / "config.json").read_text())
    return task.bind(config, AutoTokenizer.from_pretrained(checkpoint))


@each_task
def test_the_base_model_decides_the_auto_class(name: str, tiny_t5: Path, tiny_gpt: Path) -> None:
    assert make_task(name, tiny_t5).spec.auto_class == "AutoModelForSeq2SeqLM"
    assert make_task(name, tiny_gpt).spec.auto_class == "AutoModelForCausalLM"


@each_task
def test_encoders_are_errors(name: str, tiny_bert: Path) -> None:
    with pytest.raises(ModelError, match="reads texts but cannot generate any") as caught:
        make_task(name, tiny_bert)
    assert caught.value.details[0].code == "M11"


def test_an_end_token_and_enough_positions_are_needed(tiny_t5: Path, tiny_gpt: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_gpt, eos_token=None)
    with pytest.raises(ModelError, match="no end token"):
        make_task("translation").bind({"model_type": "llama"}, tokenizer)
    tokenizer = AutoTokenizer.from_pretrained(tiny_t5)
    bart = {"model_type": "bart", "is_encoder_decoder": True, "max_position_embeddings": 32}
    with pytest.raises(ModelError, match="more than the decoder's 32 positions"):
        make_task("translation").bind(bart, tokenizer)


@each_task
def test_invalid_rows_are_errors(name: str, corpus_of: Callable[..., Any]) -> None:
    task = make_task(name)
    actual = rows(name, 6)
    actual[2][task.target] = " \u200b"
    actual[3][task.source] = ""
    actual[4]["references"] = ["fine", ""]
    with pytest.raises(DataError) as caught:
        task.check(corpus_of(task, train=actual), Data(**SHARES), 1)
    errors = {(error.code, error.place) for error in caught.value.details}
    assert errors == {("S05", "train.jsonl:3"), ("L03", "train.jsonl:4"), ("L10", "train.jsonl:5")}


@each_task
def test_rows_without_a_target_can_be_dropped(name: str, corpus_of: Callable[..., Any]) -> None:
    task, actual = make_task(name), rows(name, 6)
    actual[2][task.target] = " "
    examples = task.check(corpus_of(task, train=actual), Data(empty_text="drop", **SHARES), 1)
    assert len(examples.corpus.splits["train"]) == 5
    assert f'train: 1 row dropped (empty or blank "{task.target}")' in examples.notes


@each_task
def test_targets_that_copy_the_source_are_counted(name: str, corpus_of: Callable[..., Any]) -> None:
    task, actual = make_task(name), rows(name, 6)
    actual[1][task.target] = actual[1][task.source].upper()
    examples = task.check(corpus_of(task, train=actual), Data(**SHARES), 1)
    assert f"train: 1 row whose {task.target} equals the {task.source}" in examples.notes


@each_task
def test_references_replace_the_target(name: str, corpus_of: Callable[..., Any]) -> None:
    task, actual = make_task(name), rows(name, 4)
    targets = [row[task.target] for row in actual]
    test = [
        {**row, "references": value}
        for row, value in zip(actual, [["a b", "c"], None, [], ["d"]], strict=True)
    ]
    for row in test:
        row[task.source] += " again"
    examples = task.check(corpus_of(task, train=actual, test=test), Data(validation_share=0.0), 1)
    assert list(examples.references["train"]["texts"]) == [(target,) for target in targets]
    assert list(examples.references["test"]["texts"]) == [
        ("a b", "c"),
        (targets[1],),
        (targets[2],),
        ("d",),
    ]


def test_the_prompt_comes_from_the_recipe_or_fits_the_base_model(tiny_t5: Path, tiny_gpt: Path) -> None:
    assert make_task("translation", tiny_t5)._split_prompt() == ("", "")
    assert make_task("translation", tiny_gpt)._split_prompt() == ("", "\n\nTranslation:\n")
    asked = make_task("summarization", tiny_t5, prompt="summarize: {document} {now}")
    assert asked._split_prompt() == ("summarize: ", " {now}")
    for name, prompt in (("translation", "no place"), ("summarization", "{document} {document}")):
        with pytest.raises(ValueError, match="must contain"):
            make_task(name, prompt=prompt)


@each_task
@pytest.mark.parametrize("kind", ["tiny_t5", "tiny_gpt"])
def test_decode_generates_texts_with_their_probability(
    name: str, kind: str, request: pytest.FixtureRequest
) -> None:
    """The probability is the geometric mean of the tokens' probabilities, with the end token."""
    from llmkit.data.encoding.collate import collate

    checkpoint = request.getfixturevalue(kind)
    task = make_task(name, checkpoint, max_new_tokens=6)
    actual = rows(name, 5)
    columns = {key: [row[key] for row in actual] for key in (task.source, task.target)}
    references = {"texts": object_array((text,) for text in columns[task.target])}
    features = task.encode(columns, references, task.tokenizer, max_length=60, truncation=True)
    encoded = Encoded.from_batches([(0, features)])
    model = load.load_pretrained(
        checkpoint, task.spec.auto_class, {}, new_head=False, seed=0, tokenizer=task.tokenizer
    ).eval()
    batch = collate(encoded, np.arange(5), pad_token_id=0, scalars={})
    with torch.inference_mode():
        outputs = {key: value.numpy() for key, value in task.decode(model, batch).items()}
        validated = {key: value.numpy() for key, value in task.decode(model, batch, validating=True).items()}
        total, count = task.loss(references, 0)(model, batch)
    predictions = task.predictions(outputs, encoded, columns)
    assert set(validated) == {"nats", "tokens"}
    assert np.allclose(validated["nats"], predictions["nats"])
    assert float(total) == pytest.approx(predictions["nats"].sum(), rel=1e-5)
    assert float(count) == predictions["tokens"].sum() == (batch["targets"] != IGNORED).sum()
    size = outputs["written_tokens"][0]
    assert 1 <= size <= 6
    text = task.tokenizer.decode(outputs["written"][0][:size], skip_special_tokens=True)
    assert predictions["texts"][0] == text
    assert predictions["probability"] == pytest.approx(
        np.exp(-outputs["written_nats"] / outputs["written_tokens"])
    )
    only = task.predictions(validated, encoded, columns)
    assert set(task.score(references, only, (), resampling=None).values) == {"loss"}
    assert set(task.score(references, predictions, (), resampling=None).values) == {
        "loss",
        *task.spec.metrics,
    }


def make_predictions(
    texts: list[str], references: list[tuple[str, ...]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    costs = {"nats": np.arange(1.0, len(texts) + 1), "tokens": np.full(len(texts), 2)}
    probability = np.linspace(0.1, 0.9, len(texts))
    return {"texts": object_array(references)}, {
        "texts": object_array(texts),
        "probability": probability,
        **costs,
    }


TEXTS = [
    "the film was very good indeed",
    "a story that is dull",
    "it was a plot",
    "the music is quite warm and bright",
]
REFERENCES = [
    ("the film was very good indeed",),
    ("a dull story", "the story is dull"),
    ("nothing",),
    ("the music was warm",),
]


@each_task
def test_scores_have_intervals_and_the_loss_is_per_token(name: str) -> None:
    references, predictions = make_predictions(TEXTS, REFERENCES)
    sheet = make_task(name).score(references, predictions, (), resampling=Resampling(resamples=200, seed=1))
    assert sheet.headline == make_task(name).spec.metrics
    assert set(sheet.scores) == {*make_task(name).spec.metrics, "loss"}
    assert sheet.scores["loss"].value == pytest.approx(10 / 8)
    for score in sheet.scores.values():
        assert score.low <= score.value <= score.high
        assert score.n == 4
    values = make_task(name).score(references, predictions, (), resampling=None).values
    assert values == pytest.approx({key: score.value for key, score in sheet.scores.items()})


@each_task
def test_differences_are_paired(name: str) -> None:
    task, (references, predictions) = make_task(name), make_predictions(TEXTS, REFERENCES)
    _, right = make_predictions([own[0] for own in REFERENCES], REFERENCES)
    settings: Any = {"resampling": Resampling(resamples=200, seed=1)}
    for metric in task.spec.metrics:
        actual = task.difference(references, right, predictions, metric, (), **settings)
        scores = [
            task.score(references, one, (), **settings).scores[metric].value for one in (right, predictions)
        ]
        assert actual.value == pytest.approx(scores[0] - scores[1])
        assert (actual.value < 0) == (metric in task.spec.lower_is_better)


@each_task
def test_records_hold_all_that_a_comparison_needs(name: str) -> None:
    task, (references, predictions) = make_task(name), make_predictions(TEXTS, REFERENCES)
    columns = {task.source: ["one", "two", "three", "four"]}
    records = list(task.records(columns, predictions, (), references))
    assert records[1] == {
        task.source: "two",
        "references": ["a dull story", "the story is dull"],
        "prediction": TEXTS[1],
        "probability": pytest.approx(0.1 + 0.8 / 3),
    }
    assert set(task.spec.identity) <= set(records[0])
    again = task.parse_records(json.loads(json.dumps(records)), ())
    assert list(again[0]["texts"]) == REFERENCES
    assert list(again[1]["texts"]) == TEXTS
    placed = [{**record, "place": str(number)} for number, record in enumerate(records)]
    assert [error["place"] for error in task.worst_errors(placed)] == [
        "2",
        "3",
        "1",
    ]  # a correct prediction is no error
    assert task.worst_errors(placed[:1]) == []
    assert "references" not in next(task.records(columns, predictions, ()))


def test_targets_that_are_too_long_are_errors_that_name_the_key_to_raise(
    tiny_t5: Path, tmp_path: Path
) -> None:
    recipe = write_recipe("translation", tmp_path, tiny_t5, count=40)
    settings = ["task.max_new_tokens=5"]
    with pytest.raises(DataError, match=r"targets .* are longer than 5 tokens") as caught:
        llmkit.finetune(str(recipe), [*settings, "train.truncation=false"], dry_run=True)
    assert caught.value.details[0].code == "L12"
    assert "raise task.max_new_tokens" in caught.value.details[0].fix
    llmkit.finetune(str(recipe), settings, dry_run=True)  # the recipe truncates


def test_prompt_and_target_share_max_length(tiny_gpt: Path, tmp_path: Path) -> None:
    recipe = write_recipe("translation", tmp_path, tiny_gpt, count=40)
    with pytest.raises(RecipeError, match="no tokens for a prompt"):
        llmkit.finetune(str(recipe), ["task.max_new_tokens=48"], dry_run=True)
