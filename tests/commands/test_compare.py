"""Two runs on the same rows: the second minus the first, row by row."""

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


def refusal(first: Path, second: Path) -> str:
    with pytest.raises(RunError) as caught:
        compare(first, second)
    (line,) = caught.value.lines()
    return line


@pytest.fixture
def edited(finished: Any, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the finished run with other predictions."""

    def edit(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], name: str = "copy") -> Path:
        run = Run(Path(shutil.copytree(finished.path, tmp_path / name)))
        records = change(finished.predictions)
        lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
        run.predictions("test").write_text("".join(lines), encoding="utf-8")
        return run.path

    return edit


def test_the_difference_is_second_minus_first(finished: Any, other: Any) -> None:
    found = compare(other.path, finished.path)
    assert (found["first"], found["second"]) == (str(other.path), str(finished.path))
    assert (found["n"], found["only_in_first"], found["only_in_second"]) == (16, 0, 0)
    assert list(found["differences"]) == finished.content["headline"]
    for metric, difference in found["differences"].items():
        values = [run.content["scores"][metric]["value"] for run in (finished, other)]
        assert difference["value"] == pytest.approx(values[0] - values[1])
        assert difference["low"] <= difference["value"] <= difference["high"]
        assert difference["p_value"] <= difference["p_holm"] <= 1
    assert found["differences"]["accuracy"]["value"] > 0.2
    json.dumps(found, allow_nan=False)


def test_the_other_way_round_the_sign_changes(finished: Any, other: Any) -> None:
    there, back = compare(other.path, finished.path), compare(finished.path, other.path)
    assert there["differences"]["accuracy"]["value"] == -back["differences"]["accuracy"]["value"]
    assert there["mcnemar_p"] == back["mcnemar_p"] < 0.05


def test_a_run_does_not_differ_from_itself(finished: Any) -> None:
    found = compare(finished.path, finished.path)
    assert [difference["value"] for difference in found["differences"].values()] == [0, 0, 0]
    assert (found["mcnemar_p"], found["examples_needed"]) == (1, None)


def test_rows_are_matched_by_what_they_say_not_by_their_order(
    finished: Any, edited: Callable[..., Path]
) -> None:
    shuffled = edited(lambda records: records[::-1])
    assert compare(finished.path, shuffled)["mcnemar_p"] == 1
    assert compare(finished.path, shuffled)["n"] == 16


def test_rows_of_one_run_only_are_left_out_and_counted(finished: Any, edited: Callable[..., Path]) -> None:
    found = compare(finished.path, edited(lambda records: [*records[:10], {**records[10], "text": "new"}]))
    assert (found["n"], found["only_in_first"], found["only_in_second"]) == (10, 6, 1)


def test_equal_rows_are_counted_as_often_as_they_stand(finished: Any, edited: Callable[..., Path]) -> None:
    def twice(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [*records, records[0], records[0]]

    assert compare(edited(twice), edited(twice, "other"))["n"] == 18
    assert compare(edited(twice, "third"), finished.path)["only_in_first"] == 2


def test_texts_with_unicode_line_ends_are_read(finished: Any, edited: Callable[..., Path]) -> None:
    def broken(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**record, "text": record["text"] + "\u2028\x85end"} for record in records]

    assert compare(edited(broken), edited(broken, "other"))["n"] == 16


def test_runs_without_a_common_row_are_refused(finished: Any, edited: Callable[..., Path]) -> None:
    strange = edited(lambda records: [{**record, "text": "new " + record["text"]} for record in records])
    line = refusal(finished.path, strange)
    assert line.startswith(f"error[R07] {finished.path}, {strange}: these runs share no test example")


def test_runs_with_other_labels_are_refused(finished: Any, edited: Callable[..., Path]) -> None:
    path = edited(lambda records: records)
    card = json.loads((path / "model" / "llmkit.json").read_text())
    (path / "model" / "llmkit.json").write_text(json.dumps({**card, "labels": ["bad", "good"]}))
    assert "have different labels" in refusal(finished.path, path)


def test_labels_in_another_order_are_the_same_labels(
    finished: Any, other: Any, edited: Callable[..., Path]
) -> None:
    path = edited(lambda records: records)
    card = json.loads((path / "model" / "llmkit.json").read_text())
    (path / "model" / "llmkit.json").write_text(json.dumps({**card, "labels": card["labels"][::-1]}))
    assert (
        compare(other.path, path)["differences"]["accuracy"]
        == compare(other.path, finished.path)["differences"]["accuracy"]
    )


def test_an_unfinished_run_is_refused(finished: Any, unfinished: Path, tmp_path: Path) -> None:
    assert refusal(finished.path, unfinished).startswith(f"error[R05] {unfinished}: is not finished")
    assert refusal(tmp_path / "nowhere", finished.path).startswith("error[R01]")
