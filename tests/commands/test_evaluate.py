"""Evaluate a run on its test set, a model on new data, and a run on several data sets."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import llmkit
from llmkit.base.errors import DataError, ModelError, RecipeError, RunError, UserError
from llmkit.base.run import Run
from llmkit.inference.trained_model import open_model
from llmkit.metrics import independent
from llmkit.metrics.score import Score


def error_of(kind: type[UserError], *arguments: Any, **settings: Any) -> str:
    with pytest.raises(kind) as caught:
        llmkit.evaluate(*map(str, arguments), **settings)
    (line,) = caught.value.lines()
    return line


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write rows to a JSON Lines file."""

    def to_file(rows: list[dict[str, str]], name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return to_file


def test_run_has_the_scores_of_its_report(finished: Any, listener: Any) -> None:
    result = llmkit.evaluate(str(finished.path), progress=listener)
    for key in ("scores", "headline", "per_class", "confusion", "calibration", "part"):
        assert result[key] == finished.content[key], key
    assert (result["run"], result["data"], result["cut_examples"]) == (str(finished.path), "test", 0)
    assert any("160 rows split" in note for note in listener.notes)


def test_int8_reports_the_paired_difference(write: Callable[..., Path], finished: Any) -> None:
    rows = [{"text": row["text"], "label": "negative"} for row in finished.predictions]
    exact, quantized = (
        llmkit.evaluate(str(finished.path), data=str(write(rows)), int8=int8, metrics=["recall", "loss"])
        for int8 in (False, True)
    )
    assert "int8" not in exact
    assert quantized["scores"]["loss"]["value"] != exact["scores"]["loss"]["value"]
    (change,) = quantized["int8"].values()
    difference = quantized["scores"]["recall"]["value"] - exact["scores"]["recall"]["value"]
    assert (change["metric"], change["n"]) == ("recall", len(rows))
    assert change["value"] == pytest.approx(difference)


def test_precision_of_the_run_is_used(tiny_recipe: Path, tmp_path: Path) -> None:
    short = ["train.epochs=null", "train.max_steps=2", "evaluate.baselines=false", "train.precision=bf16"]
    content = llmkit.finetune(str(tiny_recipe), short, out=tmp_path / "run")
    assert llmkit.evaluate(str(tmp_path / "run"))["scores"] == content["scores"]


def test_named_metrics_come_first(finished: Any) -> None:
    result = llmkit.evaluate(str(finished.path), metrics=["recall", "loss"])
    assert result["headline"] == ["recall", "loss"]
    assert result["scores"] == finished.content["scores"]


def test_unknown_metric_is_an_error(finished: Any) -> None:
    line = error_of(RecipeError, finished.path, metrics=["acuracy"])
    assert line.startswith(
        'error[E01] --metric: "acuracy" is not a metric of this task; did you mean "accuracy"?'
    )


def test_test_set_in_a_file_gives_the_same_scores(finished: Any, write: Callable[..., Path]) -> None:
    """In another order and with other column names; labels are numbered as in the model."""
    rows = [{"sentence": r["text"], "polarity": r["label"]} for r in reversed(finished.predictions)]
    result = llmkit.evaluate(
        str(finished.path),
        data=str(write(rows)),
        columns={"text": "sentence", "label": "polarity"},
    )
    assert result["confusion"] == finished.content["confusion"]
    for name, score in finished.content["scores"].items():
        assert result["scores"][name]["value"] == pytest.approx(score["value"], rel=1e-5), name


def test_new_data_is_evaluated(finished: Any, make_reviews: Any, write: Callable[..., Path]) -> None:
    path = write(make_reviews(50, 9))
    result = llmkit.evaluate(str(finished.path), data=str(path))
    assert (result["data"], result["part"], result["scores"]["accuracy"]["n"]) == (str(path), "test", 50)
    assert result["scores"]["accuracy"]["value"] > 0.9
    swapped = {"negative": "positive", "positive": "negative"}
    rows = [{**row, "label": swapped[row["label"]]} for row in make_reviews(50, 9)]
    swapped_result = llmkit.evaluate(str(finished.path), data=str(write(rows)))
    assert swapped_result["scores"]["accuracy"]["value"] == pytest.approx(
        1 - result["scores"]["accuracy"]["value"]
    )


def test_data_with_a_single_class_is_evaluated(finished: Any, write: Callable[..., Path]) -> None:
    rows = [{"text": r["text"], "label": r["label"]} for r in finished.predictions]
    positive = [row for row in rows if row["label"] == "positive"]
    result = llmkit.evaluate(str(finished.path), data=str(write(positive)))
    correct = [r["prediction"] == "positive" for r in finished.predictions if r["label"] == "positive"]
    assert result["scores"]["accuracy"]["value"] == pytest.approx(sum(correct) / len(correct))


def test_unknown_label_is_an_error(finished: Any, write: Callable[..., Path]) -> None:
    path = write([{"text": "a good film", "label": "postive"}, {"text": "a bad film", "label": "negative"}])
    line = error_of(DataError, finished.path, data=str(path))
    assert line.startswith(f'error[L05] {path}:1: label "postive" is not one of the 2 labels of the model')


def test_missing_column_is_an_error(finished: Any, write: Callable[..., Path]) -> None:
    line = error_of(DataError, finished.path, data=str(write([{"sentence": "a", "label": "negative"}])))
    assert line.startswith("error[L01]")


def test_truncated_texts_and_unknown_tokens_are_counted(finished: Any, write: Callable[..., Path]) -> None:
    rows = [{"text": "good film " * 40, "label": "positive"}, {"text": "bad nonsense", "label": "negative"}]
    result = llmkit.evaluate(str(finished.path), data=str(write(rows)))
    assert result["cut_examples"] == 1
    assert result["unknown_tokens_share"] == pytest.approx(1 / (32 + 4))


def test_model_without_a_run_needs_data(finished: Any) -> None:
    model = finished.path / "model"
    assert error_of(RunError, model).startswith(f"error[R06] {model}: is a model, not a run")


def test_model_folder_is_evaluated_on_a_file(finished: Any, write: Callable[..., Path]) -> None:
    rows = [{"text": r["text"], "label": r["label"]} for r in finished.predictions]
    result = llmkit.evaluate(str(finished.path / "model"), data=str(write(rows)))
    assert "run" not in result
    assert result["model"] == str(finished.path / "model")
    assert result["confusion"] == finished.content["confusion"]


def test_model_uses_the_columns_of_its_training_data(
    finished: Any, write: Callable[..., Path], tmp_path: Path
) -> None:
    model = Path(shutil.copytree(finished.path / "model", tmp_path / "model"))
    metadata = json.loads((model / "llmkit.json").read_text())
    metadata["columns"] = {"text": "sentence", "label": "polarity"}
    (model / "llmkit.json").write_text(json.dumps(metadata))
    rows = [{"sentence": r["text"], "polarity": r["label"]} for r in finished.predictions]
    result = llmkit.evaluate(str(model), data=str(write(rows)))
    assert result["confusion"] == finished.content["confusion"]


def test_run_whose_data_changed_is_an_error(finished: Any, reviews_jsonl: Path, tmp_path: Path) -> None:
    """Another split could put training examples into the test set."""
    run = Run(Path(shutil.copytree(finished.path, tmp_path / "run")))
    changed = tmp_path / "reviews.jsonl"
    changed.write_text("".join(reviews_jsonl.read_text().splitlines(keepends=True)[1:]))
    run.recipe.write_text(run.recipe.read_text().replace(str(reviews_jsonl), str(changed)))
    line = error_of(RunError, run.path)
    assert line.startswith(f"error[M09] {run.path}: the data is not the data that this run was trained on")
    changed.write_bytes(reviews_jsonl.read_bytes())  # the same rows under another name
    assert llmkit.evaluate(str(run.path))["scores"] == finished.content["scores"]


def test_unfinished_run_is_an_error(unfinished: Path) -> None:
    assert error_of(ModelError, unfinished).startswith("error[R05]")


def test_run_without_a_report_is_an_error(finished: Any, tmp_path: Path) -> None:
    run = Run(Path(shutil.copytree(finished.path, tmp_path / "run")))
    run.report.unlink()
    assert error_of(RunError, run.path).startswith(f"error[R05] {run.path}: is not finished")


# Several data sets


@pytest.fixture
def data_sets(make_reviews: Any, write: Callable[..., Path]) -> dict[str, str]:
    """Two data sets like the test set, and one where every third label is wrong."""
    noisy = make_reviews(60, 11)
    swapped = {"negative": "positive", "positive": "negative"}
    for row in noisy[::3]:
        row["label"] = swapped[row["label"]]
    rows = {"like": make_reviews(50, 9), "short": make_reviews(12, 10), "noisy": noisy}
    return {name: str(write(examples, f"{name}.jsonl")) for name, examples in rows.items()}


def test_each_data_set_is_scored_as_if_alone(finished: Any, data_sets: dict[str, str]) -> None:
    paths = list(data_sets.values())
    result = llmkit.evaluate(str(finished.path), data=paths)
    assert result["data"] == list(result["corpora"]) == paths
    assert result["run"] == str(finished.path)
    for name, corpus in result["corpora"].items():
        alone = llmkit.evaluate(str(finished.path), data=[name])
        assert corpus["n"] == alone["scores"]["accuracy"]["n"]
        for key in ("scores", "headline", "unknown_tokens_share", "cut_examples"):
            assert corpus[key] == alone[key], (name, key)
        assert alone == llmkit.evaluate(str(finished.path), data=name)


def test_drop_is_in_domain_minus_data_set(finished: Any, data_sets: dict[str, str]) -> None:
    result = llmkit.evaluate(str(finished.path), data=list(data_sets.values()))
    assert result["home"] == {"part": "test", "n": 16, "scores": finished.content["scores"]}
    noisy = result["corpora"][data_sets["noisy"]]
    assert list(noisy["drop"]) == ["accuracy", "f1", "mcc"]
    for metric, drop in noisy["drop"].items():
        in_domain, new = Score(**finished.content["scores"][metric]), Score(**noisy["scores"][metric])
        assert drop == independent.difference(in_domain, new).to_json()
    accuracy = noisy["drop"]["accuracy"]
    assert accuracy["value"] == pytest.approx(1 / 3, abs=0.02)
    assert 0 < accuracy["low"] < accuracy["value"] < accuracy["high"] < 0.5
    (sentence,) = result["verdict"]  # the others' intervals cover zero
    assert sentence == (
        f"On {data_sets['noisy']}, accuracy is lower than on the in-domain test set by "
        f"{100 * accuracy['value']:.1f} points "
        f"(95% CI {100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f})."
    )
    json.dumps(result, allow_nan=False)


def test_verdict_uses_the_first_metric_with_an_interval(finished: Any, data_sets: dict[str, str]) -> None:
    """F1 is 1 in every draw of the 16 in-domain examples; accuracy has a closed form."""
    paths = [data_sets["noisy"], data_sets["like"]]
    result = llmkit.evaluate(str(finished.path), data=paths, metrics=["f1", "accuracy"])
    drop = result["corpora"][data_sets["noisy"]]["drop"]
    assert (drop["f1"]["low"], drop["f1"]["high"]) == (None, None)
    assert drop["f1"]["value"] > 0.3
    (sentence,) = result["verdict"]
    assert ", accuracy is lower than on the in-domain test set by " in sentence


def test_drop_of_a_rising_loss_is_negative(finished: Any, data_sets: dict[str, str]) -> None:
    """The drop is in-domain minus data set for losses too."""
    paths = [data_sets["noisy"], data_sets["like"]]
    result = llmkit.evaluate(str(finished.path), data=paths, metrics=["loss", "accuracy"])
    assert result["lower_is_better"] == ["loss"]
    drop = result["corpora"][data_sets["noisy"]]["drop"]["loss"]
    assert drop["low"] < drop["value"] < drop["high"] < 0
    sentence = result["verdict"][0]
    value, low, high = map(
        float, re.findall(r"\d+\.?\d*", sentence.split("test set by")[1].replace("95%", ""))
    )
    assert sentence.startswith(f"On {data_sets['noisy']}, loss is higher than on the in-domain test set by ")
    assert value == pytest.approx(-drop["value"], rel=0.05)
    assert (low, high) == (pytest.approx(-drop["high"], rel=0.05), pytest.approx(-drop["low"], rel=0.05))


def test_model_without_a_run_has_no_in_domain_scores(
    finished: Any, data_sets: dict[str, str], listener: Any
) -> None:
    model = str(finished.path / "model")
    result = llmkit.evaluate(model, data=list(data_sets.values()), progress=listener)
    assert (result["model"], result["home"], result["verdict"]) == (model, None, [])
    assert all(corpus["drop"] == {} for corpus in result["corpora"].values())
    assert any("no in-domain test set" in note for note in listener.notes)
    as_run = llmkit.evaluate(str(finished.path), data=list(data_sets.values()))
    for name in data_sets.values():
        assert result["corpora"][name]["scores"]["accuracy"] == as_run["corpora"][name]["scores"]["accuracy"]


def test_errors_of_all_data_sets_come_before_any_prediction(
    finished: Any, data_sets: dict[str, str], write: Callable[..., Path], listener: Any
) -> None:
    """Labels of another kind are one error, however many there are, and nothing is predicted."""
    stars = write([{"text": f"film {n}", "label": f"{n} stars"} for n in range(5)], "stars.jsonl")
    empty = write([{"text": "", "label": "positive"}, {"text": "good", "label": "positive"}], "empty.jsonl")
    with pytest.raises(DataError) as caught:
        llmkit.evaluate(
            str(finished.path), data=[data_sets["like"], str(stars), str(empty)], progress=listener
        )
    first, second = caught.value.lines()
    assert first == (
        f"error[L05] {stars}: 5 or more of its labels are not among the model's 2 labels (negative, positive); the "
        f"first is at {stars}:1. Fix: use the model's labels, or leave this data set out"
    )
    assert second.startswith(f"error[L03] {empty}:1: ")
    assert listener.works == []


def test_model_is_opened_once(
    finished: Any, data_sets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def open_and_count(*arguments: Any, **options: Any) -> Any:
        opened.append(arguments)
        return open_model(*arguments, **options)

    monkeypatch.setattr("llmkit.commands.evaluate.open_model", open_and_count)
    llmkit.evaluate(str(finished.path), data=list(data_sets.values()))
    assert len(opened) == 1


def test_duplicate_data_set_is_an_error(finished: Any, data_sets: dict[str, str]) -> None:
    line = error_of(
        RecipeError, finished.path, data=[data_sets["like"], data_sets["noisy"], data_sets["like"]]
    )
    assert line.startswith(f"error[U01] --data {data_sets['like']}: is given twice")


def test_run_without_a_report_cannot_be_compared_in_domain(
    finished: Any, data_sets: dict[str, str], tmp_path: Path
) -> None:
    run = Run(Path(shutil.copytree(finished.path, tmp_path / "run")))
    run.report.unlink()
    assert "error[R05]" in error_of(RunError, run.path, data=list(data_sets.values()))


def test_in_domain_scores_on_the_validation_set_are_reported_as_such(
    tiny_recipe: Path, tmp_path: Path, data_sets: dict[str, str], listener: Any
) -> None:
    short = ["train.epochs=null", "train.max_steps=2", "evaluate.baselines=false", "data.test_share=0"]
    llmkit.finetune(str(tiny_recipe), short, out=tmp_path / "run")
    result = llmkit.evaluate(str(tmp_path / "run"), data=list(data_sets.values()), progress=listener)
    assert result["home"]["part"] == "validation"
    assert any("used for model selection" in note for note in listener.notes)
