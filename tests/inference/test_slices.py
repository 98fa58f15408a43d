"""Scores of slices: of synthetic predictions, of a run's test set, and of new data."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import llmkit
from llmkit import tasks
from llmkit.base.errors import RecipeError
from llmkit.data.checks.columns import object_array
from llmkit.inference.slices import EvaluatedSplit, check_groupings, score_slices
from llmkit.metrics.resampling import Resampling

SETTINGS: dict[str, Any] = {"resampling": Resampling(resamples=200, seed=1)}


class Rows(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.file_index)


def make_evaluated(n: int = 80, files: int = 2, **columns: list[Any]) -> EvaluatedSplit:
    """A classifier that is right on the first file and wrong on the second."""
    texts = ["a" * (1 + number % 40) for number in range(n)]
    index = np.arange(n) * files // n
    labels = np.arange(n) % 2
    rows = Rows(columns={"text": texts, **columns}, files=("one.csv", "two.csv")[:files], file_index=index)
    predictions = {
        "prediction": np.where(index == 0, labels, 1 - labels),
        "probabilities": np.full((n, 2), 0.5),
    }
    task = tasks.load({"name": "classification"})
    return EvaluatedSplit(task, rows, {"labels": labels}, predictions, ("no", "yes"))  # type: ignore[arg-type]


def names(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item["grouping"], item["value"]) for item in result["slices"]]


def test_all_built_in_groupings_are_used_by_default() -> None:
    result = score_slices(make_evaluated(), "accuracy", **SETTINGS)
    assert names(result)[0] == ("source", "two.csv")
    assert names(result)[-1] == ("source", "one.csv")
    assert {grouping for grouping, _ in names(result)} == {"length", "label", "source"}  # one script
    assert result["slices"][0]["score"]["value"] == 0.0
    assert result["slices"][0]["p_holm"] < 1e-6
    assert result["left_out"] == 0
    json.dumps(result, allow_nan=False)


def test_single_source_is_a_slice_only_when_named() -> None:
    assert "source" not in dict(names(score_slices(make_evaluated(files=1), "accuracy", **SETTINGS)))
    assert (
        score_slices(make_evaluated(files=1), "accuracy", ["source"], **SETTINGS)["left_out"] == 1
    )  # no other examples to compare with


def test_column_takes_precedence_over_a_built_in_grouping() -> None:
    domain = ["news", "chat"] * 40
    evaluated = make_evaluated(domain=domain, language=["de"] * 40 + ["fr"] * 40)
    assert names(score_slices(evaluated, "accuracy", ["domain"], **SETTINGS)) == [
        ("domain", "news"),
        ("domain", "chat"),
    ]
    assert names(score_slices(evaluated, "accuracy", ["language"], **SETTINGS)) == [
        ("language", "fr"),
        ("language", "de"),
    ]


def test_language_is_detected_by_script() -> None:
    evaluated = make_evaluated()
    evaluated.rows.columns["text"][:30] = ["很好看"] * 30  # type: ignore[index]
    assert {value for _, value in names(score_slices(evaluated, "accuracy", ["language"], **SETTINGS))} == {
        "Han",
        "Latin",
    }


def test_slices_by_label_use_accuracy() -> None:
    result = score_slices(make_evaluated(), "mcc", ["label", "source"], **SETTINGS)["slices"]
    assert {(item["grouping"], item["metric"]) for item in result} == {
        ("label", "accuracy"),
        ("source", "mcc"),
    }
    values = {item["value"]: item["score"]["value"] for item in result}
    assert values == {"no": 0.5, "yes": 0.5, "one.csv": 1.0, "two.csv": -1.0}


def test_worst_slice_comes_first_when_lower_is_better() -> None:
    task = tasks.load({"name": "regression"})
    labels = np.linspace(0, 1, 60).astype(np.float32)
    errors = np.repeat([0.1, 0.5, 0.3], 20).astype(np.float32)
    rows = Rows(
        columns={"text": ["a"] * 60, "kind": np.repeat(list("xyz"), 20).tolist()}, file_index=np.zeros(60)
    )
    predictions = {"prediction": labels + errors, "loss": errors**2}
    result = score_slices(
        EvaluatedSplit(task, rows, {"labels": labels}, predictions, ()), "mse", ["kind"], **SETTINGS
    )  # type: ignore[arg-type]
    assert [value for _, value in names(result)] == ["y", "z", "x"]


def test_slices_work_for_question_answering() -> None:
    """As with question answering, by F1 over groups of questions."""
    task = tasks.load({"name": "extractive_qa"})
    predictions = object_array([("yes",) if number % 4 else ("other",) for number in range(40)])
    rows = Rows(
        columns={"question": ["who?"] * 40, "context": ["yes no"] * 40, "kind": ["a", "b", "a", "b"] * 10},
        file_index=np.zeros(40, int),
        files=("f",),
    )
    references = {"answers": predictions, "groups": np.arange(40) // 4}
    result = score_slices(
        EvaluatedSplit(task, rows, references, {"texts": object_array(["yes"] * 40)}, ()),
        "f1",
        ["kind"],
        **SETTINGS,
    )  # type: ignore[arg-type]
    assert names(result) == [("kind", "a"), ("kind", "b")]
    assert "clustered by 10 groups" in result["slices"][0]["score"]["method"]


def test_unknown_grouping_is_an_error() -> None:
    evaluated = make_evaluated(domain=["a"] * 80)
    with pytest.raises(
        RecipeError, match='--slice domian: is not a column of the data; did you mean "domain"'
    ):
        check_groupings(evaluated.task, evaluated.rows, ["length", "domian"])
    with pytest.raises(RecipeError, match="--slice label"):
        check_groupings(tasks.load({"name": "regression"}), evaluated.rows, ["label"])


# With a run


def test_report_has_slices_of_the_test_set(finished: Any) -> None:
    result = finished.content["slices"]
    n = finished.content["scores"]["accuracy"]["n"]
    assert result["confidence"] == 0.95
    for item in result["slices"]:
        assert item["score"]["n"] + item["rest"]["n"] == n


def test_new_data_is_sliced_by_its_columns(finished: Any, make_reviews: Any, tmp_path: Path) -> None:
    path = tmp_path / "new.jsonl"
    rows = [{**row, "domain": "ab"[number % 2]} for number, row in enumerate(make_reviews(40, 9))]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = llmkit.evaluate(str(finished.path), data=str(path), slices=["domain", "label"])["slices"]
    assert set(names(result)) == {
        ("domain", "a"), ("domain", "b"), ("label", "negative"), ("label", "positive"),
    }  # fmt: skip
    assert all(item["score"]["n"] == 20 for item in result["slices"] if item["grouping"] == "domain")
    with pytest.raises(RecipeError, match="--slice nothing"):
        llmkit.evaluate(str(finished.path), data=str(path), slices=["nothing"])


def test_result_has_no_slices_by_default(finished: Any) -> None:
    assert "slices" not in llmkit.evaluate(str(finished.path))
