"""Relation extraction: markers as tokens, the score of SemEval-2010 task 8, and saved adapters."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import llmkit
from llmkit.base.errors import DataError
from llmkit.base.progress import SILENT
from llmkit.data.corpus import Corpus
from llmkit.inference.trained_model import open_model
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.tasks import relation
from llmkit.models import load
from llmkit.recipe.schema import Data
from llmkit.tasks.relation_extraction import Options, make
from llmkit.text.markers import MARKERS
from tests.samples import rows, write_recipe

TASK = make(Options(), {})
DATA = Data(train="x")
LABELS = ("Cause(e1,e2)", "Cause(e2,e1)", "Other", "Part(e1,e2)")
FAST = ["train.epochs=null", "train.max_steps=20", "train.precision=fp32", "evaluate.resamples=100"]


def named(count: int) -> list[dict[str, Any]]:
    """Make rows with entities in columns, three per sentence."""
    pairs = [("the actor", "film"), ("film", "music"), ("music", "the actor")]
    return [
        {
            "text": f"the actor {i // 3} likes the film and its music {i // 3 * 7}",
            "head": pairs[i % 3][0],
            "tail": pairs[i % 3][1],
            "label": LABELS[i % 4],
        }
        for i in range(count)
    ]


def errors_of(corpus: Corpus, task: Any = TASK, known: Any = None) -> list[tuple[str, str, str]]:
    with pytest.raises(DataError) as caught:
        task.check(corpus, DATA, 1, labels=known)
    return [(error.code, error.place, error.message) for error in caught.value.details]


@pytest.fixture
def references() -> dict[str, Any]:
    return {"labels": np.random.default_rng(0).integers(0, 4, 60)}


@pytest.fixture
def predictions(echo: nn.Module, references: dict[str, Any]) -> dict[str, Any]:
    logits = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
    logits[np.arange(60), references["labels"]] += 1
    batch = {"input_ids": torch.from_numpy(logits), "labels": torch.from_numpy(references["labels"])}
    return {name: value.numpy() for name, value in TASK.decode(echo, batch).items()}


# entities


def test_a_sentence_stays_in_one_split(corpus_of: Callable[..., Corpus]) -> None:
    """Its rows differ only in their markers."""
    from_columns = TASK.check(corpus_of(TASK, train=named(180)), DATA, 1)
    marked = [
        {"text": text, "label": label}
        for split in from_columns.corpus.splits.values()
        for text, label in zip(split.column("text"), split.column("label"), strict=True)
    ]
    for examples in (from_columns, TASK.check(corpus_of(TASK, train=marked), DATA, 1)):
        texts = {
            name: {text.replace("<e1>", "").replace("</e1>", "").replace("<e2>", "").replace("</e2>", "")
                   for text in split.column("text")}
            for name, split in examples.corpus.splits.items()
        }  # fmt: skip
        assert sum(map(len, texts.values())) == 60
        assert not texts["train"] & texts["test"]
        assert not texts["train"] & texts["validation"]


# tokens


def test_a_marker_is_one_token(tiny_bert: Path) -> None:
    tokenizer = load.load_tokenizer(tiny_bert, special=TASK.spec.special_tokens)
    assert tuple(TASK.spec.special_tokens) == MARKERS
    row = {"text": ["the <e1>actor</e1> of<e2>film</e2>."], "label": ["Other"]}
    actual = TASK.encode(row, {"labels": np.zeros(1)}, tokenizer, max_length=20, truncation=False)
    tokens = tokenizer.convert_ids_to_tokens(actual.columns["input_ids"][0])
    assert tokens == ["[CLS]", "the", "<e1>", "actor", "</e1>", "of", "<e2>", "film", "</e2>", ".", "[SEP]"]
    assert not actual.notes


def test_entities_lost_to_truncation_are_counted(tiny_bert: Path) -> None:
    tokenizer = load.load_tokenizer(tiny_bert, special=TASK.spec.special_tokens)
    texts = ["<e1>actor</e1> of <e2>film</e2> it was", "it was <e1>actor</e1> of <e2>film</e2> it"]
    references = {"labels": np.zeros(2)}
    actual = TASK.encode({"text": texts}, references, tokenizer, max_length=9, truncation=True)
    assert actual.counts.cut_examples == 2
    assert actual.notes == {"texts that lost an entity to truncation": 1}


def test_a_text_to_predict_without_markers_is_an_error(tiny_bert: Path) -> None:
    tokenizer = load.load_tokenizer(tiny_bert, special=TASK.spec.special_tokens)
    with pytest.raises(DataError, match=r'L14\] "the actor": has no <e1>'):
        TASK.encode({"text": ["the actor"]}, {}, tokenizer, max_length=9, truncation=True)


# scores


@pytest.mark.parametrize("options", [Options(), Options(positive="Other"), Options(negative="Part(e1,e2)")])
def test_values_are_the_scores(
    references: dict[str, Any], predictions: dict[str, Any], resampling: Resampling, options: Options
) -> None:
    task = make(options, {})
    values = task.score(references, predictions, LABELS, resampling=None).values
    sheet = task.score(references, predictions, LABELS, resampling=resampling)
    assert set(values) == set(sheet.scores) == {"loss", *task.spec.metrics}
    assert values == pytest.approx({name: score.value for name, score in sheet.scores.items()}, abs=1e-12)
    official = relation.scores(
        references["labels"],
        predictions["prediction"],
        LABELS,
        negative=options.negative or "Other",
        resampling=Resampling(resamples=100),
    )
    assert values["semeval2010"] == pytest.approx(official["f1"].value)
    assert values["precision_semeval2010"] == pytest.approx(official["precision"].value)
    assert sheet.headline[0] == "semeval2010"
    assert values["semeval2010"] != values["f1"]
    json.dumps(sheet.details, allow_nan=False)


def test_the_negative_class_is_left_out(references: dict[str, Any], predictions: dict[str, Any]) -> None:
    """It has a usual name, or the name in the recipe. The report has one row for both directions of a relation."""
    settings: dict[str, Any] = {"resampling": Resampling(resamples=100, seed=1)}
    by_default = TASK.score(references, predictions, LABELS, **settings)
    assert set(by_default.details["per_class"]) == {"Cause", "Part"}
    chosen = make(Options(negative="Part(e1,e2)"), {}).score(references, predictions, LABELS, **settings)
    assert set(chosen.details["per_class"]) == {"Cause", "Other"}
    assert chosen.scores["semeval2010"].value != by_default.scores["semeval2010"].value
    none = TASK.score(references, predictions, ("a", "b", "c", "d"), **settings)
    assert set(none.details["per_class"]) == {"a", "b", "c", "d"}


def test_an_unknown_negative_class_is_an_error(corpus_of: Callable[..., Corpus]) -> None:
    actual = corpus_of(TASK, train=rows("relation_extraction", 60))
    (errors,) = errors_of(actual, make(Options(negative="Othr"), {}))
    assert errors[:2] == ("L05", "task.negative")
    assert 'did you mean "Other"?' in errors[2]
    (errors,) = errors_of(actual, make(Options(positive="Prais"), {}))
    assert errors[:2] == ("L05", "task.positive")


def test_parsed_records_give_the_same_difference(
    references: dict[str, Any], predictions: dict[str, Any], resampling: Resampling
) -> None:
    other = {name: values[::-1].copy() for name, values in predictions.items()}
    texts = {"text": [f"text {i}" for i in range(60)]}
    written = [
        json.loads(json.dumps(list(TASK.records(texts, x, LABELS, references)))) for x in (predictions, other)
    ]
    (parsed, first), (_, second) = (TASK.parse_records(records, LABELS) for records in written)
    settings: dict[str, Any] = {"resampling": resampling}
    for metric in TASK.spec.metrics:
        expected = TASK.difference(references, predictions, other, metric, LABELS, **settings)
        assert asdict(TASK.difference(parsed, first, second, metric, LABELS, **settings)) == asdict(expected)
        values = [
            TASK.score(references, x, LABELS, resampling=None).values[metric] for x in (predictions, other)
        ]
        assert expected.value == pytest.approx(values[0] - values[1], abs=1e-12), metric
        assert expected.metric == metric


# a whole run


@pytest.fixture(scope="module")
def recipe(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recipe("relation_extraction", tmp_path_factory.mktemp("relation"), tiny_bert, count=120)


@pytest.mark.parametrize("merge", ["true", "false"])
def test_a_saved_model_predicts_the_same_again(recipe: Path, tmp_path: Path, merge: str) -> None:
    """With a merged or a separate adapter, the trained embeddings of the markers are loaded, not new ones."""
    settings = [*FAST, "model.lora.rank=4", f"model.lora.merge={merge}"]
    llmkit.finetune(str(recipe), settings, out=tmp_path / "run")
    lines = (tmp_path / "run/predictions/test.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    again = list(llmkit.predict(str(tmp_path / "run"), [record["text"] for record in records]))
    for record, answer in zip(records, again, strict=True):
        assert answer["prediction"] == record["prediction"]
        assert answer["probabilities"] == pytest.approx(record["probabilities"], abs=1e-6)
    assert (tmp_path / "run/model/adapter_config.json").exists() is (merge == "false")


def test_the_markers_of_a_separate_adapter_are_trained(recipe: Path, tiny_bert: Path, tmp_path: Path) -> None:
    settings = [*FAST, "model.lora.rank=4", "model.lora.merge=false"]
    llmkit.finetune(str(recipe), settings, out=tmp_path / "run")
    opened = open_model(str(tmp_path / "run"), SILENT)
    ids = opened.tokenizer.convert_tokens_to_ids(list(MARKERS))
    before = load.load_pretrained(
        tiny_bert,
        opened.task.spec.auto_class,
        opened.task.head(opened.labels).config,
        new_head=False,
        seed=1,  # from the recipe
        tokenizer=opened.tokenizer,
    ).get_input_embeddings()
    merged = opened.model.merge_and_unload().get_input_embeddings()
    known = load_file(tiny_bert / "model.safetensors")["embeddings.word_embeddings.weight"]
    assert torch.equal(merged.weight[: len(known)], known)
    moved = (merged.weight[ids] - before.weight[ids]).abs().amax(-1)
    assert (moved > 1e-3).all()


def test_runs_from_columns_and_from_markers_are_equal(tiny_bert: Path, tmp_path: Path) -> None:
    columns = write_recipe("relation_extraction", tmp_path, tiny_bert)
    data = tmp_path / "relation_extraction.jsonl"
    actual = [
        {
            "text": f"it {i % 7} is the story {i} {i * i}",
            "head": "it",
            "tail": "story",
            "label": LABELS[i % 4],
        }
        for i in range(80)
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in actual))
    first = llmkit.finetune(str(columns), FAST, out=tmp_path / "columns")
    marked = [
        {
            "text": row["text"].replace("it ", "<e1>it</e1> ").replace("story", "<e2>story</e2>"),
            "label": row["label"],
        }
        for row in actual
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in marked))
    second = llmkit.finetune(str(columns), FAST, out=tmp_path / "markers")
    assert first["weights_sha256"] == second["weights_sha256"]
    assert first["scores"] == second["scores"]
