"""Slices of a run's test rows, of new rows, and of made-up answers."""

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

HOW: dict[str, Any] = {"resampling": Resampling(resamples=200, seed=1)}


class Rows(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.file_index)


def judged(n: int = 80, files: int = 2, **columns: list[Any]) -> EvaluatedSplit:
    """A classifier that is right on the first file and wrong on the second."""
    texts = ["a" * (1 + number % 40) for number in range(n)]
    index = np.arange(n) * files // n
    gold = np.arange(n) % 2
    rows = Rows(columns={"text": texts, **columns}, files=("one.csv", "two.csv")[:files], file_index=index)
    predictions = {"prediction": np.where(index == 0, gold, 1 - gold), "probabilities": np.full((n, 2), 0.5)}
    task = tasks.load({"name": "classification"})
    return EvaluatedSplit(task, rows, {"labels": gold}, predictions, ("no", "yes"))  # type: ignore[arg-type]


def names(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["grouping"], one["value"]) for one in found["slices"]]


def test_without_names_it_is_what_divides_the_rows() -> None:
    found = score_slices(judged(), "accuracy", **HOW)
    assert names(found)[0] == ("source", "two.csv")
    assert names(found)[-1] == ("source", "one.csv")
    assert {grouping for grouping, _ in names(found)} == {"length", "label", "source"}  # one script
    assert found["slices"][0]["score"]["value"] == 0.0
    assert found["slices"][0]["p_holm"] < 1e-6
    assert found["left_out"] == 0
    json.dumps(found, allow_nan=False)


def test_one_file_is_no_slice_unless_asked_for() -> None:
    assert "source" not in dict(names(score_slices(judged(files=1), "accuracy", **HOW)))
    assert (
        score_slices(judged(files=1), "accuracy", ["source"], **HOW)["left_out"] == 1
    )  # nothing is left beside it


def test_a_column_is_a_grouping_and_goes_before_our_own() -> None:
    domain = ["news", "chat"] * 40
    made = judged(domain=domain, language=["de"] * 40 + ["fr"] * 40)
    assert names(score_slices(made, "accuracy", ["domain"], **HOW)) == [
        ("domain", "news"),
        ("domain", "chat"),
    ]
    assert names(score_slices(made, "accuracy", ["language"], **HOW)) == [
        ("language", "fr"),
        ("language", "de"),
    ]


def test_the_language_is_told_by_the_script() -> None:
    made = judged()
    made.rows.columns["text"][:30] = ["很好看"] * 30  # type: ignore[index]
    assert {value for _, value in names(score_slices(made, "accuracy", ["language"], **HOW))} == {
        "Han",
        "Latin",
    }


def test_labels_are_judged_by_their_right_answers_whatever_the_score() -> None:
    found = score_slices(judged(), "mcc", ["label", "source"], **HOW)["slices"]
    assert {(one["grouping"], one["metric"]) for one in found} == {("label", "accuracy"), ("source", "mcc")}
    values = {one["value"]: one["score"]["value"] for one in found}
    assert values == {"no": 0.5, "yes": 0.5, "one.csv": 1.0, "two.csv": -1.0}


def test_of_a_score_of_which_less_is_better_the_highest_comes_first() -> None:
    task = tasks.load({"name": "regression"})
    gold = np.linspace(0, 1, 60).astype(np.float32)
    off = np.repeat([0.1, 0.5, 0.3], 20).astype(np.float32)
    rows = Rows(
        columns={"text": ["a"] * 60, "kind": np.repeat(list("xyz"), 20).tolist()}, file_index=np.zeros(60)
    )
    predictions = {"prediction": gold + off, "loss": off**2}
    found = score_slices(
        EvaluatedSplit(task, rows, {"labels": gold}, predictions, ()), "mse", ["kind"], **HOW
    )  # type: ignore[arg-type]
    assert [value for _, value in names(found)] == ["y", "z", "x"]


def test_any_task_can_be_sliced() -> None:
    """Here by the answers' F1, of groups of questions."""
    task = tasks.load({"name": "extractive_qa"})
    predictions = object_array([("yes",) if number % 4 else ("other",) for number in range(40)])
    rows = Rows(
        columns={"question": ["who?"] * 40, "context": ["yes no"] * 40, "kind": ["a", "b", "a", "b"] * 10},
        file_index=np.zeros(40, int),
        files=("f",),
    )
    references = {"answers": predictions, "groups": np.arange(40) // 4}
    found = score_slices(
        EvaluatedSplit(task, rows, references, {"texts": object_array(["yes"] * 40)}, ()),
        "f1",
        ["kind"],
        **HOW,
    )  # type: ignore[arg-type]
    assert names(found) == [("kind", "a"), ("kind", "b")]
    assert "clustered by 10 groups" in found["slices"][0]["score"]["method"]


def test_an_unknown_name_is_told() -> None:
    made = judged(domain=["a"] * 80)
    with pytest.raises(
        RecipeError, match='--slice domian: is not a column of the data; did you mean "domain"'
    ):
        check_groupings(made.task, made.rows, ["length", "domian"])
    with pytest.raises(RecipeError, match="--slice label"):
        check_groupings(tasks.load({"name": "regression"}), made.rows, ["label"])


# In a run


def test_the_report_has_the_slices_of_its_test_rows(finished: Any) -> None:
    found = finished.content["slices"]
    n = finished.content["scores"]["accuracy"]["n"]
    assert found["confidence"] == 0.95
    for one in found["slices"]:
        assert one["score"]["n"] + one["rest"]["n"] == n


def test_new_rows_are_sliced_by_their_columns(finished: Any, make_reviews: Any, tmp_path: Path) -> None:
    path = tmp_path / "new.jsonl"
    rows = [{**row, "domain": "ab"[number % 2]} for number, row in enumerate(make_reviews(40, 9))]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = llmkit.evaluate(str(finished.path), data=str(path), slices=["domain", "label"])["slices"]
    assert set(names(found)) == {
        ("domain", "a"), ("domain", "b"), ("label", "negative"), ("label", "positive"),
    }  # fmt: skip
    assert all(one["score"]["n"] == 20 for one in found["slices"] if one["grouping"] == "domain")
    with pytest.raises(RecipeError, match="--slice nothing"):
        llmkit.evaluate(str(finished.path), data=str(path), slices=["nothing"])


def test_without_slices_nothing_is_said_of_them(finished: Any) -> None:
    assert "slices" not in llmkit.evaluate(str(finished.path))
