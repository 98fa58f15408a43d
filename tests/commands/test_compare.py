"""Compare two runs on the same test set: differences are second minus first."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmkit.base.errors import RunError
from llmkit.base.run import Run
from llmkit.commands.compare import compare


def error_of(first: Path, second: Path) -> str:
    with pytest.raises(RunError) as caught:
        compare(first, second)
    (line,) = caught.value.lines()
    return line


@pytest.fixture
def copy_run(finished: Any, tmp_path: Path) -> Callable[..., Path]:
    """Copy the finished run and change its predictions."""

    def edit(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], name: str = "copy") -> Path:
        run = Run(Path(shutil.copytree(finished.path, tmp_path / name)))
        records = change(finished.predictions)
        lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
        run.predictions("test").write_text("".join(lines), encoding="utf-8")
        return run.path

    return edit


def test_difference_is_second_minus_first(finished: Any, other: Any) -> None:
    result = compare(other.path, finished.path)
    assert (result["first"], result["second"]) == (str(other.path), str(finished.path))
    assert (result["n"], result["only_in_first"], result["only_in_second"]) == (16, 0, 0)
    assert list(result["differences"]) == finished.content["headline"]
    for metric, difference in result["differences"].items():
        values = [run.content["scores"][metric]["value"] for run in (finished, other)]
        assert difference["value"] == pytest.approx(values[0] - values[1])
        assert difference["low"] <= difference["value"] <= difference["high"]
        assert difference["p_value"] <= difference["p_holm"] <= 1
    assert result["differences"]["accuracy"]["value"] > 0.2
    json.dumps(result, allow_nan=False)


def test_swapping_the_runs_changes_the_sign(finished: Any, other: Any) -> None:
    forward, backward = compare(other.path, finished.path), compare(finished.path, other.path)
    assert forward["differences"]["accuracy"]["value"] == -backward["differences"]["accuracy"]["value"]
    assert forward["mcnemar_p"] == backward["mcnemar_p"] < 0.05


def test_run_does_not_differ_from_itself(finished: Any) -> None:
    result = compare(finished.path, finished.path)
    assert [difference["value"] for difference in result["differences"].values()] == [0, 0, 0]
    assert (result["mcnemar_p"], result["examples_needed"]) == (1, None)


def test_examples_are_matched_by_content(finished: Any, copy_run: Callable[..., Path]) -> None:
    shuffled = copy_run(lambda records: records[::-1])
    assert compare(finished.path, shuffled)["mcnemar_p"] == 1
    assert compare(finished.path, shuffled)["n"] == 16


def test_examples_of_one_run_only_are_counted(finished: Any, copy_run: Callable[..., Path]) -> None:
    result = compare(finished.path, copy_run(lambda records: [*records[:10], {**records[10], "text": "new"}]))
    assert (result["n"], result["only_in_first"], result["only_in_second"]) == (10, 6, 1)


def test_duplicate_examples_are_matched_one_to_one(finished: Any, copy_run: Callable[..., Path]) -> None:
    def add_duplicates(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [*records, records[0], records[0]]

    assert compare(copy_run(add_duplicates), copy_run(add_duplicates, "other"))["n"] == 18
    assert compare(copy_run(add_duplicates, "third"), finished.path)["only_in_first"] == 2


def test_texts_with_unicode_line_separators_are_read(finished: Any, copy_run: Callable[..., Path]) -> None:
    def add_line_ends(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**record, "text": record["text"] + "\u2028\x85end"} for record in records]

    assert compare(copy_run(add_line_ends), copy_run(add_line_ends, "other"))["n"] == 16


def test_runs_without_common_examples_are_an_error(finished: Any, copy_run: Callable[..., Path]) -> None:
    unrelated = copy_run(lambda records: [{**record, "text": "new " + record["text"]} for record in records])
    line = error_of(finished.path, unrelated)
    assert line.startswith(f"error[R07] {finished.path}, {unrelated}: these runs share no test example")


def test_runs_with_different_labels_are_an_error(finished: Any, copy_run: Callable[..., Path]) -> None:
    path = copy_run(lambda records: records)
    metadata = json.loads((path / "model" / "llmkit.json").read_text())
    (path / "model" / "llmkit.json").write_text(json.dumps({**metadata, "labels": ["bad", "good"]}))
    assert "have different labels" in error_of(finished.path, path)


def test_order_of_labels_does_not_matter(finished: Any, other: Any, copy_run: Callable[..., Path]) -> None:
    path = copy_run(lambda records: records)
    metadata = json.loads((path / "model" / "llmkit.json").read_text())
    (path / "model" / "llmkit.json").write_text(json.dumps({**metadata, "labels": metadata["labels"][::-1]}))
    assert (
        compare(other.path, path)["differences"]["accuracy"]
        == compare(other.path, finished.path)["differences"]["accuracy"]
    )


def test_unfinished_or_missing_run_is_an_error(finished: Any, unfinished: Path, tmp_path: Path) -> None:
    assert error_of(finished.path, unfinished).startswith(f"error[R05] {unfinished}: is not finished")
    assert error_of(tmp_path / "nowhere", finished.path).startswith("error[R01]")
