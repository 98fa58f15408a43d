"""Finalizing a run writes all files, with consistent numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from sklearn import metrics as sklearn_metrics

import llmkit
from llmkit import tasks
from llmkit.base import files
from llmkit.base.errors import StorageError
from llmkit.base.progress import SILENT
from llmkit.base.run import Run
from llmkit.engine import session as sessions
from llmkit.training import finalize as module
from llmkit.training.finalize import finalize
from llmkit.training.training_run import TrainingRun


def test_run_folder_is_complete(finished: Any) -> None:
    names = {str(path.relative_to(finished.path)) for path in finished.path.rglob("*") if path.is_file()}
    assert names >= {
        "recipe.yaml",
        "environment.json",
        "log.jsonl",
        "model/config.json",
        "model/model.safetensors",
        "model/tokenizer.json",
        "model/llmkit.json",
        "model/manifest.json",
        "model/README.md",
        "predictions/test.jsonl",
        "scores.json",
        "report.json",
        "report.md",
        "report.html",
        "plots/loss.svg",
        "plots/confusion.svg",
    }
    assert len(list((finished.path / "checkpoints").iterdir())) in (2, 3)  # the newest two and the best
    assert not any(files.STAGING in name for name in names)
    assert files.verify_folder(finished.path / "model") is None


def test_report_equals_the_returned_content(finished: Any) -> None:
    report = Run(finished.path).read_report()
    assert report == json.loads(json.dumps(finished.content))
    scores = json.loads((finished.path / "scores.json").read_text())
    assert scores == {"part": "test", "scores": report["scores"]}
    assert report["recipe"] == (finished.path / "recipe.yaml").read_text()
    assert report["environment"] == json.loads((finished.path / "environment.json").read_text())
    assert (report["run"], report["name"], report["task"]) == (str(finished.path), "tiny", "classification")
    assert report["llmkit"] == llmkit.__version__


def test_tiny_run_learns_its_task(finished: Any) -> None:
    accuracy = finished.content["scores"]["accuracy"]
    majority = finished.content["baselines"]["majority"]["accuracy"]
    assert accuracy["value"] > majority["value"] + 0.25
    assert accuracy["low"] > majority["value"]
    assert accuracy["n"] == majority["n"] == 16


def test_predictions_keep_the_order_and_place_of_the_data(finished: Any) -> None:
    assert [record["index"] for record in finished.predictions] == list(range(16))
    places = []
    for record in finished.predictions:
        name, line = record["place"].rsplit(":", 1)
        row = json.loads(Path(name).read_text().splitlines()[int(line) - 1])
        assert (record["text"], record["label"]) == (row["text"], row["label"])
        places.append(int(line))
    assert places == sorted(places)


def test_scores_are_those_of_the_predictions(finished: Any) -> None:
    references = [record["label"] for record in finished.predictions]
    predictions = [record["prediction"] for record in finished.predictions]
    scores = {name: score["value"] for name, score in finished.content["scores"].items()}
    assert scores["accuracy"] == sklearn_metrics.accuracy_score(references, predictions)
    assert scores["f1"] == pytest.approx(sklearn_metrics.f1_score(references, predictions, average="macro"))
    losses = [-np.log(record["probabilities"][record["label"]]) for record in finished.predictions]
    assert scores["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    labels = finished.content["confusion"]["labels"]
    assert (
        finished.content["confusion"]["counts"]
        == sklearn_metrics.confusion_matrix(references, predictions, labels=labels).tolist()
    )


def test_errors_in_the_report_are_misclassified_examples(other: Any) -> None:
    misclassified = [record for record in other.predictions if record["label"] != record["prediction"]]
    assert misclassified
    assert len(other.content["errors"]) == min(20, len(misclassified))
    assert {error["place"] for error in other.content["errors"]} <= {
        record["place"] for record in misclassified
    }


def test_each_baseline_has_scores_and_a_sentence(finished: Any) -> None:
    content = finished.content
    assert list(content["baselines"]) == ["majority", "tfidf", "untuned"]
    assert [row["baseline"] for row in content["comparisons"]] == list(content["baselines"])
    assert content["verdict"] == [row["sentence"] for row in content["comparisons"]]
    first = content["comparisons"][0]["difference"]
    scores = content["scores"]["accuracy"]["value"], content["baselines"]["majority"]["accuracy"]["value"]
    assert first["value"] == pytest.approx(scores[0] - scores[1])


def test_digest_is_that_of_the_saved_weights(finished: Any, other: Any) -> None:
    digest = hashlib.sha256()
    for name, value in sorted(load_file(finished.path / "model" / "model.safetensors").items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.numpy().tobytes())
    assert finished.content["weights_sha256"] == digest.hexdigest()
    assert finished.content["weights_sha256"] != other.content["weights_sha256"]


def test_metadata_describes_task_labels_and_columns(finished: Any, tiny_bert: Path) -> None:
    metadata = json.loads((finished.path / "model" / "llmkit.json").read_text())
    assert metadata["task"] == {"name": "classification", **tasks.options("classification")().model_dump()}
    assert metadata["labels"] == ["negative", "positive"]
    assert metadata["columns"] == {"text": "text", "label": "label"}
    assert (metadata["max_length"], metadata["base"], metadata["adapter"]) == (32, str(tiny_bert), False)


def finalize_run(training: Any) -> dict[str, Any]:
    """Finalize a trained run in a new session, and return the report's content."""
    files.write_json(training.run.environment, {})
    files.write_text(training.run.recipe, "task: {name: classification}\n")
    with sessions.start(seed=1, precision="fp32") as session:
        run = replace(training.training, session=session, progress=SILENT, name="n", command="c")
        return finalize(run, training.model)


def short(*overrides: str) -> tuple[str, ...]:
    return ("train.epochs=null", "train.max_steps=2", "evaluate.baselines=false", *overrides)


@pytest.fixture
def _without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the report, whose plots take a second."""
    monkeypatch.setattr("llmkit.report.page.write", lambda *_: None)


@pytest.mark.usefixtures("_without_report")
def test_validation_set_replaces_a_missing_test_set(train: Callable[..., Any]) -> None:
    content = finalize_run(train(*short("data.test_share=0")))
    assert (content["part"], content["scores"]["accuracy"]["n"]) == ("validation", 16)
    assert (content["baselines"], content["comparisons"], content["verdict"]) == ({}, [], [])


@pytest.mark.usefixtures("_without_report")
def test_validation_set_is_not_predicted_again(
    train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The temperature is fitted on the validation predictions of the best step."""
    training = train(*short())
    predict, splits = TrainingRun.predict, []

    def record(run: Any, model: Any, split: str, **options: Any) -> Any:
        splits.append(split)
        return predict(run, model, split, **options)

    monkeypatch.setattr(TrainingRun, "predict", record)
    assert finalize_run(training)["tuned"]
    assert splits == ["test"]


@pytest.mark.usefixtures("_without_report")
def test_report_is_written_last(train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that could not write its predictions is not finished."""
    training = train(*short())

    def full(*_: object) -> None:
        raise StorageError("W01", "", "full")

    monkeypatch.setattr("llmkit.base.files.write_lines", full)
    monkeypatch.setattr(module.files, "write_lines", full)
    with pytest.raises(StorageError):
        finalize_run(training)
    assert not training.run.report.exists()


def test_scores_without_near_duplicates_are_reported(train: Callable[..., Any]) -> None:
    training = train(*short())
    prepared = training.prepared
    references = prepared.examples.references["test"]["labels"]
    outputs = {"prediction": references.copy(), "loss": np.where(np.arange(16) < 4, 3.0, 1.0)}
    outputs["prediction"][:4] = 1 - references[:4]  # wrong for the near-duplicates only
    outputs["probabilities"] = np.eye(2)[outputs["prediction"]]
    assert module._score_without_near_duplicates(prepared, "test", outputs) == []
    examples = replace(prepared.examples, near_duplicates={"test": np.arange(4)})
    (note,) = module._score_without_near_duplicates(replace(prepared, examples=examples), "test", outputs)
    assert note.startswith(
        "test without its 4 near-duplicates of training examples: loss 1.0000, accuracy 1.0000"
    )
