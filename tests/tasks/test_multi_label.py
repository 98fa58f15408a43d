"""Multi-label classification: lists of labels, the loss of transformers, and tuned thresholds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from torch import Tensor, nn

import llmkit
from llmkit import tasks
from llmkit.base.errors import DataError
from llmkit.data.corpus import Corpus
from llmkit.data.encoding.collate import collate
from llmkit.data.encoding.features import Encoded
from llmkit.metrics.resampling import Resampling
from llmkit.metrics.tasks import multi_label
from llmkit.models import load
from llmkit.models.save import load_metadata
from llmkit.recipe.schema import Data
from llmkit.tasks.multi_label import Options, make
from tests.float64 import in_float64
from tests.samples import predict_baselines, rows, write_recipe

TASK = make(Options(), {})
DATA = Data(train="x")
LABELS = ("bad", "good", "number")


@pytest.fixture
def references() -> dict[str, Any]:
    return {"labels": (np.random.default_rng(0).random((40, 3)) < 0.4).astype(np.float32)}


@pytest.fixture
def outputs(echo: nn.Module, references: dict[str, Any]) -> dict[str, Any]:
    noise = np.random.default_rng(1).normal(size=(40, 3))
    logits = torch.from_numpy((3 * references["labels"] - 3 + noise).astype(np.float32))
    batch = {"input_ids": logits, "labels": torch.from_numpy(references["labels"])}
    return {name: value.numpy() for name, value in TASK.decode(echo, batch).items()}


@pytest.fixture
def predictions(outputs: dict[str, Any]) -> dict[str, Any]:
    return dict(TASK.predictions(outputs, None, {}))  # type: ignore[arg-type]


def named(count: int) -> dict[str, list[Any]]:
    actual = rows("multi_label", count)
    return {name: [row[name] for row in actual] for name in actual[0]}


def make_rows(count: int) -> list[dict[str, Any]]:
    sets: list[list[str]] = [["good"], [], ["bad", "number"], ["number", "number"], ["good", "bad"]]
    return [{"text": f"text number {i} {i * i}", "labels": sets[i % 5]} for i in range(count)]


def errors_of(corpus: Corpus, data: Data = DATA, known: Any = None) -> list[tuple[str, str]]:
    with pytest.raises(DataError) as caught:
        TASK.check(corpus, data, 1, labels=known)
    return [(error.code, error.place) for error in caught.value.details]


def test_check_marks_the_labels_of_each_row(corpus_of: Callable[..., Corpus]) -> None:
    examples = TASK.check(corpus_of(TASK, train=make_rows(60)), DATA, 1)
    assert examples.labels == LABELS
    for name, split in examples.corpus.splits.items():
        marks = examples.references[name]["labels"]
        assert marks.dtype == np.float32
        actual = [{n for n, mark in zip(LABELS, row, strict=True) if mark} for row in marks]
        assert actual == [set(labels) for labels in split.column("labels")]
    total = sum(np.array(list(counts.values())) for counts in examples.label_counts.values())
    assert total.tolist() == [24, 24, 24]


@pytest.mark.parametrize("value", ["good", ["good", " "], ["good", None], None])
def test_labels_that_are_not_a_list_of_strings_are_errors(
    corpus_of: Callable[..., Corpus], value: object
) -> None:
    """The value is in a file of its own, because a column with several types is error J06 before that."""
    actual = corpus_of(TASK, train=make_rows(30), test=[{"text": "a text of the test", "labels": value}])
    assert errors_of(actual) == [("L10", "test.jsonl:1")]


def test_unknown_labels_are_errors_or_dropped(corpus_of: Callable[..., Corpus]) -> None:
    extra = {"text": "a text of the test", "labels": ["good", "gooood", "0"]}
    actual = corpus_of(TASK, train=make_rows(30), test=[*make_rows(33)[30:], extra])
    assert errors_of(actual) == [("L05", "test.jsonl:4"), ("L05", "test.jsonl:4")]
    examples = TASK.check(actual, Data(train="x", unknown_labels="drop"), 1)
    assert examples.references["test"]["labels"].shape == (3, 3)
    assert "test: 1 row dropped (label not among the 3 known)" in examples.notes
    only = corpus_of(TASK, train=make_rows(30), test=[extra])
    assert {code for code, _ in errors_of(only, Data(train="x", unknown_labels="drop"))} == {"L05"}


def test_labels_that_differ_by_case_or_are_repeated_are_errors(corpus_of: Callable[..., Corpus]) -> None:
    actual = make_rows(30)
    actual[7]["labels"] = ["Good"]
    assert errors_of(corpus_of(TASK, train=actual)) == [("L07", "train.jsonl:8")]
    echo = Data(train="x", labels=["Good", "good", "bad", "number", "bad"])
    assert errors_of(corpus_of(TASK, train=actual), echo) == [("L07", "data.labels")]


def test_data_without_any_label_is_an_error(corpus_of: Callable[..., Corpus]) -> None:
    actual = [{"text": f"text number {i}", "labels": []} for i in range(30)]
    assert errors_of(corpus_of(TASK, train=actual)) == [("L08", "train.jsonl:1")]


def test_labels_of_a_trained_model_keep_their_order(corpus_of: Callable[..., Corpus]) -> None:
    known = ("number", "never seen", "good", "bad")
    examples = TASK.check(corpus_of(TASK, test=make_rows(3)), Data(test="x"), 1, labels=known)
    assert examples.labels == known
    assert examples.references["test"]["labels"].tolist() == [[0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 1]]


def test_the_loss_equals_that_of_transformers(tiny_bert: Path) -> None:
    tokenizer = load.load_tokenizer(tiny_bert)
    actual = named(12)
    references = {
        "labels": np.array([[name in labels for name in LABELS] for labels in actual["labels"]], np.float32)
    }
    model = load.load_pretrained(
        tiny_bert, TASK.spec.auto_class, TASK.head(LABELS).config, new_head=False, seed=1, tokenizer=tokenizer
    ).eval()
    features = TASK.encode(actual, references, tokenizer, max_length=48, truncation=False)
    batch: dict[str, Tensor] = collate(
        Encoded.from_batches([(0, features)]), np.arange(12), pad_token_id=0, scalars=references
    )
    model, batch["labels"] = in_float64(model), batch["labels"].double()
    with torch.no_grad():
        total, count = TASK.loss(references, 3)(model, batch)
        assert count.item() == 36
        assert (total / count).item() == pytest.approx(model(**batch).loss.item(), rel=1e-12)
        assert TASK.decode(model, batch)["loss"].mean().item() == pytest.approx(
            (total / count).item(), rel=1e-12
        )


def test_values_and_scores_equal_those_of_scikit_learn(
    references: dict[str, Any], predictions: dict[str, Any], resampling: Resampling
) -> None:
    values = TASK.score(references, predictions, LABELS, resampling=None).values
    sheet = TASK.score(references, predictions, LABELS, resampling=resampling)
    true, predicted = references["labels"], predictions["prediction"]
    expected = {
        "f1": sklearn_metrics.f1_score(true, predicted, average="macro", zero_division=0),
        "f1_micro": sklearn_metrics.f1_score(true, predicted, average="micro"),
        "f1_samples": sklearn_metrics.f1_score(true, predicted, average="samples", zero_division=0),
        "subset_accuracy": sklearn_metrics.accuracy_score(true, predicted),
        "hamming_loss": sklearn_metrics.hamming_loss(true, predicted),
        "pr_auc": sklearn_metrics.average_precision_score(
            true, predictions["probabilities"], average="macro"
        ),
    }
    assert set(values) == set(sheet.scores) == {"loss", *TASK.spec.metrics}
    assert values == pytest.approx({name: score.value for name, score in sheet.scores.items()}, abs=1e-12)
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, abs=1e-9), name
    assert set(sheet.headline) <= set(sheet.scores)
    assert {"loss", "hamming_loss"} <= set(TASK.spec.lower_is_better)
    json.dumps(sheet.details, allow_nan=False)


def test_predictions_follow_the_tuned_thresholds(references: dict[str, Any], outputs: dict[str, Any]) -> None:
    """The logits are three too low, so a threshold of one half is bad."""
    predictions = TASK.predictions(outputs, None, {})  # type: ignore[arg-type]
    tuned = json.loads(json.dumps(TASK.tune(references, predictions)))
    better = make(Options(), tuned)
    actual = better.predictions(outputs, None, {})  # type: ignore[arg-type]
    expected = outputs["probabilities"].astype(float) >= np.array(tuned["thresholds"])
    assert np.array_equal(actual["prediction"], expected)
    assert (
        better.score(references, actual, LABELS, resampling=None).values["f1"]
        > TASK.score(references, predictions, LABELS, resampling=None).values["f1"] + 0.1
    )
    sheet = better.score(references, actual, LABELS, resampling=Resampling(resamples=100, seed=1))
    assert sheet.details["thresholds"] == dict(zip(LABELS, tuned["thresholds"], strict=True))
    assert TASK.spec.can_tune
    assert not make(Options(tune_thresholds=False), {}).spec.can_tune


def test_a_run_saves_the_thresholds_of_its_validation_set(tiny_bert: Path, tmp_path: Path) -> None:
    recipe = write_recipe("multi_label", tmp_path, tiny_bert, count=120)
    settings = ["train.epochs=null", "train.max_steps=20", "evaluate.resamples=100"]
    content = llmkit.finetune(str(recipe), settings, out=tmp_path / "run")
    card = load_metadata(tmp_path / "run" / "model")
    assert card is not None
    thresholds = card.tuned["thresholds"]
    assert thresholds == content["tuned"]["thresholds"]
    assert thresholds != [0.5, 0.5, 0.5]
    texts = [row["text"] for row in rows("multi_label", 12)]
    for record in llmkit.predict(str(tmp_path / "run"), texts):
        echo = [
            name
            for (name, probability), least in zip(record["probabilities"].items(), thresholds, strict=True)
            if probability >= least
        ]
        assert record["prediction"] == echo
    plain = llmkit.finetune(str(recipe), [*settings, "task.tune_thresholds=false"], out=tmp_path / "untuned")
    assert plain["tuned"] == {}
    assert plain["scores"]["loss"] == content["scores"]["loss"]
    assert plain["scores"]["f1"] != content["scores"]["f1"]
    assert tasks.load(card.task, card.tuned).spec.tuned == card.tuned


def test_parsed_records_give_the_same_difference(
    references: dict[str, Any], predictions: dict[str, Any], resampling: Resampling
) -> None:
    other = {name: values[::-1].copy() for name, values in predictions.items()}
    texts = {"text": [f"text {i}" for i in range(40)]}
    written = [
        json.loads(json.dumps(list(TASK.records(texts, x, LABELS, references)))) for x in (predictions, other)
    ]
    for record, true, echo in zip(written[0], references["labels"], predictions["prediction"], strict=True):
        assert record["labels"] == [name for name, mark in zip(LABELS, true, strict=True) if mark]
        assert record["prediction"] == [name for name, mark in zip(LABELS, echo, strict=True) if mark]
        own = [
            record["probabilities"][n] if m else 1 - record["probabilities"][n] for n, m in zip(LABELS, echo)
        ]
        assert record["probability"] == pytest.approx(np.prod(own), rel=1e-6)
    (parsed, first), (_, second) = (TASK.parse_records(records, LABELS) for records in written)
    assert np.array_equal(TASK.correct(parsed, first), TASK.correct(references, predictions))
    settings: dict[str, Any] = {"resampling": resampling}
    for metric in TASK.spec.metrics:
        expected = TASK.difference(references, predictions, other, metric, LABELS, **settings)
        assert TASK.difference(parsed, first, second, metric, LABELS, **settings) == expected, metric
        values = [
            TASK.score(references, x, LABELS, resampling=None).values[metric] for x in (predictions, other)
        ]
        assert expected.value == pytest.approx(values[0] - values[1], abs=1e-12), metric


def test_the_worst_errors_are_the_most_confident(
    references: dict[str, Any], predictions: dict[str, Any]
) -> None:
    texts = {"text": [f"text {i}" for i in range(40)]}
    records = [
        {"place": f"x:{i}", **r} for i, r in enumerate(TASK.records(texts, predictions, LABELS, references))
    ]
    worst = TASK.worst_errors(records)
    wrong = [record for record in records if record["labels"] != record["prediction"]]
    assert 0 < len(wrong) == int((~TASK.correct(references, predictions)).sum())
    assert [row["probability"] for row in worst] == sorted((r["probability"] for r in wrong), reverse=True)[
        :20
    ]
    assert {"none"} & {row["prediction"] for row in worst}  # an empty set is written as a word


def test_baselines_tune_their_thresholds_if_the_model_does(
    corpus_of: Callable[..., Corpus], resampling: Resampling
) -> None:
    """Otherwise the comparison would favour the model."""
    examples = TASK.check(corpus_of(TASK, train=rows("multi_label", 200)), DATA, 1)
    true = examples.references["test"]
    plain = predict_baselines(TASK, examples)
    tuned = predict_baselines(make(Options(), {"thresholds": [0.3, 0.3, 0.3]}), examples)
    assert set(plain) == set(tuned) == {"most_frequent", "tfidf_each"}
    assert np.array_equal(plain["tfidf_each"]["prediction"], plain["tfidf_each"]["probabilities"] > 0.5)
    scores = [TASK.score(true, x["tfidf_each"], LABELS, resampling=resampling).scores for x in (plain, tuned)]
    assert scores[0]["pr_auc"].value == scores[1]["pr_auc"].value > 0.8
    validation = predict_baselines(TASK, examples, "validation")["tfidf_each"]["probabilities"]
    best = multi_label.best_thresholds(examples.references["validation"]["labels"], validation)
    assert (best != 0.5).all()
    assert np.array_equal(tuned["tfidf_each"]["prediction"], tuned["tfidf_each"]["probabilities"] >= best)
    assert len(set(map(tuple, plain["most_frequent"]["prediction"].tolist()))) == 1
    assert "loss" not in scores[0]
    for metric in TASK.spec.metrics:
        TASK.difference(
            true, tuned["tfidf_each"], plain["most_frequent"], metric, LABELS, resampling=resampling
        )


def test_records_without_labels_have_logits_by_label(echo: nn.Module) -> None:
    logits = torch.tensor([[2.0, -1.0, 0.0]])
    decoded = {name: value.numpy() for name, value in TASK.decode(echo, {"input_ids": logits}).items()}
    (record,) = TASK.records({"text": ["a"]}, TASK.predictions(decoded, None, {}), LABELS)  # type: ignore[arg-type]
    assert record["logits"] == {"bad": 2.0, "good": -1.0, "number": 0.0}
    assert record["prediction"] == ["bad", "number"]  # the default threshold is one half
    assert "labels" not in record


def test_the_initial_bias_predicts_the_frequency_of_each_label() -> None:
    """From zero, training would first push all of the rare labels down, and the texts would become alike."""
    marks = np.zeros((100, 3))
    marks[:50, 0] = marks[:2, 1] = 1
    rates = 1 / (1 + np.exp(-np.array(TASK.head((), {"labels": marks}).bias)))
    assert rates == pytest.approx([0.5, 2.5 / 101, 0.5 / 101])
