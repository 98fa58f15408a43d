"""Regression: numbers from any file, the loss of transformers, and the scores of scipy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as sklearn_metrics
from torch import Tensor, nn

from llmkit.base.errors import DataError
from llmkit.base.progress import SILENT
from llmkit.data import corpus
from llmkit.data.corpus import Corpus
from llmkit.data.encoding.collate import collate
from llmkit.data.encoding.features import Encoded
from llmkit.metrics.resampling import Resampling
from llmkit.models import load
from llmkit.recipe.schema import Data
from llmkit.tasks.regression import Options, make
from tests.float64 import in_float64
from tests.samples import predict_baselines, rows

TASK = make(Options(), {})
DATA = Data(train="x")


@pytest.fixture
def references() -> dict[str, Any]:
    return {"labels": np.random.default_rng(0).uniform(0, 5, 40).round(1).astype(np.float32)}


@pytest.fixture
def predictions(echo: nn.Module, references: dict[str, Any]) -> dict[str, Any]:
    noise = np.random.default_rng(1).normal(size=40)
    numbers = torch.from_numpy((references["labels"] + noise).astype(np.float32))[:, None]
    batch = {"input_ids": numbers, "labels": torch.from_numpy(references["labels"])}
    return {name: value.numpy() for name, value in TASK.decode(echo, batch).items()}


def named(count: int) -> dict[str, list[Any]]:
    actual = rows("regression", count)
    return {name: [row[name] for row in actual] for name in actual[0]}


def test_values_and_scores_equal_those_of_scipy(
    references: dict[str, Any], predictions: dict[str, Any], resampling: Resampling
) -> None:
    true, predicted = references["labels"].astype(float), predictions["prediction"].astype(float)
    values = TASK.score(references, predictions, (), resampling=None).values
    sheet = TASK.score(references, predictions, (), resampling=resampling)
    expected = {
        "pearson": stats.pearsonr(true, predicted).statistic,
        "spearman": stats.spearmanr(true, predicted).statistic,
        "mse": sklearn_metrics.mean_squared_error(true, predicted),
        "mae": sklearn_metrics.mean_absolute_error(true, predicted),
    }
    assert set(values) == set(sheet.scores) == {"loss", *TASK.spec.metrics}
    assert values == pytest.approx({name: score.value for name, score in sheet.scores.items()}, abs=1e-12)
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, abs=1e-9), name
    assert values["loss"] == pytest.approx(values["mse"], rel=1e-6)
    assert set(TASK.spec.lower_is_better) == {"loss", "mse", "mae"}
    json.dumps(sheet.details, allow_nan=False)


@pytest.mark.parametrize("classes", ["a trained head", "a new head"])
def test_the_loss_equals_that_of_transformers(tiny_bert: Path, tmp_path: Path, classes: str) -> None:
    """With num_labels 1 and problem_type regression, the model itself computes a mean from labels."""
    tokenizer = load.load_tokenizer(tiny_bert)
    references = {"labels": np.array(named(12)["score"], np.float32)}
    settings: dict[str, Any] = {"new_head": False, "seed": 1, "tokenizer": tokenizer}
    model = load.load_pretrained(tiny_bert, TASK.spec.auto_class, TASK.head(()).config, **settings).eval()
    if classes == "a trained head":  # it loads again unchanged
        model.save_pretrained(tmp_path / "model")
        tokenizer.save_pretrained(tmp_path / "model")
        model = load.load_pretrained(
            tmp_path / "model", TASK.spec.auto_class, TASK.head(()).config, **settings
        ).eval()
    assert (model.config.num_labels, model.config.problem_type) == (1, "regression")
    features = TASK.encode(named(12), references, tokenizer, max_length=48, truncation=False)
    batch: dict[str, Tensor] = collate(
        Encoded.from_batches([(0, features)]), np.arange(12), pad_token_id=0, scalars=references
    )
    model = in_float64(model)
    with torch.no_grad():
        total, count = TASK.loss(references, 0)(model, batch)
        assert count.item() == 12
        assert (total / count).item() == pytest.approx(model(**batch).loss.item(), rel=1e-12)
        assert TASK.decode(model, batch)["loss"].mean().item() == pytest.approx(
            (total / count).item(), rel=1e-12
        )


def test_numbers_in_csv_files_are_parsed(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("text,score\n" + "".join(f"text number {i},{i / 4}\n" for i in range(40)))
    actual = corpus.read(
        Data(train=str(path)),
        columns=TASK.spec.columns,
        progress=SILENT,
        resolve_index=lambda name, _: Path(name),
        resolve_hub=lambda name, _: {},
    )
    examples = TASK.check(actual, DATA, 1)
    assert examples.labels == ()
    for name, split in examples.corpus.splits.items():
        assert examples.references[name]["labels"].dtype == np.float32
        assert examples.references[name]["labels"].tolist() == [
            float(score) for score in split.column("score")
        ]


@pytest.mark.parametrize(
    "value, code",
    [("four", "L10"), ("1_000", "L10"), ("1e39", "L10"), ("nan", "L10"), ("", "L04"), (None, "L04")],
)
def test_values_that_are_not_numbers_are_errors(
    corpus_of: Callable[..., Corpus], value: object, code: str
) -> None:
    made = [{"text": f"text number {i}", "score": str(i)} for i in range(30)]
    with pytest.raises(DataError) as caught:
        TASK.check(corpus_of(TASK, train=[*made, {"text": "the last", "score": value}]), DATA, 1)
    assert [(p.code, p.place) for p in caught.value.details] == [(code, "train.jsonl:31")]


def test_equal_training_numbers_are_an_error(corpus_of: Callable[..., Corpus]) -> None:
    made = [{"text": f"text number {i}", "score": 2.5} for i in range(30)]
    with pytest.raises(DataError) as caught:
        TASK.check(corpus_of(TASK, train=made), DATA, 1)
    assert [p.code for p in caught.value.details] == ["L08"]
    trained = TASK.check(corpus_of(TASK, test=made), Data(test="x"), 1, labels=())
    assert len(trained.references["test"]["labels"]) == 30


def test_equal_texts_may_have_different_numbers(corpus_of: Callable[..., Corpus]) -> None:
    made = [{"text": f"text number {i // 2}", "score": float(i)} for i in range(40)]
    examples = TASK.check(corpus_of(TASK, train=made), DATA, 1)
    texts = {name: set(split.column("text")) for name, split in examples.corpus.splits.items()}
    assert not texts["train"] & texts["test"]
    for name, split in examples.corpus.splits.items():  # the numbers stay with their rows
        assert examples.references[name]["labels"].tolist() == split.column("score")


def test_parsed_records_give_the_same_difference(
    references: dict[str, Any], predictions: dict[str, Any], resampling: Resampling
) -> None:
    other = {"prediction": predictions["prediction"][::-1].copy()}
    texts = {"text": [f"text {i}" for i in range(40)]}
    written = [
        json.loads(json.dumps(list(TASK.records(texts, x, (), references)))) for x in (predictions, other)
    ]
    assert [record["score"] for record in written[0]] == references["labels"].astype(float).round(1).tolist()
    assert all(record["probability"] is None for record in written[0])
    (parsed, first), (_, second) = (TASK.parse_records(records, ()) for records in written)
    settings: dict[str, Any] = {"resampling": resampling}
    for metric in TASK.spec.metrics:
        expected = TASK.difference(references, predictions, other, metric, (), **settings)
        assert TASK.difference(parsed, first, second, metric, (), **settings) == expected
        values = [
            TASK.score(references, {**x, "loss": np.zeros(40)}, (), resampling=None).values[metric]
            for x in (predictions, other)
        ]
        assert expected.value == pytest.approx(values[0] - values[1], abs=1e-12)


def test_the_worst_errors_are_the_farthest_predictions(
    references: dict[str, Any], predictions: dict[str, Any]
) -> None:
    texts = {"text": [f"text {i}" for i in range(40)]}
    records = [
        {"place": f"x:{i}", **r} for i, r in enumerate(TASK.records(texts, predictions, (), references))
    ]
    worst = TASK.worst_errors(records)
    off = [abs(record["score"] - record["prediction"]) for record in worst]
    assert off == sorted((abs(r["score"] - r["prediction"]) for r in records), reverse=True)[:20]
    assert set(worst[0]) == {"text", "score", "prediction", "place"}


def test_the_tfidf_baseline_learns_from_words(
    corpus_of: Callable[..., Corpus], resampling: Resampling
) -> None:
    examples = TASK.check(corpus_of(TASK, train=rows("regression", 200)), DATA, 1)
    actual = predict_baselines(TASK, examples)
    assert set(actual) == {"mean", "tfidf_ridge"}
    assert np.allclose(actual["mean"]["prediction"], examples.references["train"]["labels"].mean())
    scores = TASK.score(examples.references["test"], actual["tfidf_ridge"], (), resampling=resampling).scores
    assert scores["pearson"].value > 0.8
    assert "loss" not in scores


def test_a_prediction_is_never_simply_correct(
    references: dict[str, Any], predictions: dict[str, Any]
) -> None:
    assert TASK.correct(references, predictions) is None


def test_the_initial_bias_is_the_mean(references: dict[str, Any]) -> None:
    assert TASK.head((), references).bias == pytest.approx([references["labels"].mean()], rel=1e-6)
