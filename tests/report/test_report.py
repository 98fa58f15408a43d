"""The typed content: what report.json holds, and what an empty report leaves out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmkit import tasks
from llmkit.metrics.spread import Spread
from llmkit.report.report import Details, Report
from tests.report.made_reports import make_report


def test_json_of_a_full_report_is_read_and_written_unchanged(content: dict[str, Any]) -> None:
    assert Report.from_json(content).to_json() == content


def test_keys_are_written_in_the_order_of_a_report(report: Report) -> None:
    assert list(report.to_json()) == [
        "llmkit", "run", "name", "task", "model", "architecture", "created", "part", "scores", "headline",
        "per_class", "confusion", "calibration",
        "baselines", "comparisons", "verdict", "slices", "errors", "samples", "notes", "tuned", "data", "lengths",
        "curves", "train", "environment", "recipe", "command", "weights_sha256",
    ]  # fmt: skip


@pytest.mark.parametrize("task", tasks.names())
def test_the_json_of_every_task_is_read_unchanged(task: str, report: Report) -> None:
    complete = replace(make_report(task), train=report.train)
    content = json.loads(json.dumps(complete.to_json()))
    assert Report.from_json(content).to_json() == content


def test_details_that_a_task_lacks_have_no_key(report: Report) -> None:
    assert not {"scatter", "thresholds", "generation", "verdicts"} & set(report.to_json())
    assert Details.from_json({"per_class": {}}).to_json() == {"per_class": {}}
    assert Details().to_json() == {}


def test_only_a_report_on_several_seeds_has_their_keys(report: Report) -> None:
    several = replace(report, seeds={"3": report.scores}, spread={"f1": Spread(0.1, 0.8, 0.9)}, kept_seed=3)
    content = several.to_json()
    assert list(content)[-3:] == ["seeds", "spread", "kept_seed"]
    assert content["spread"] == {"f1": {"sd": 0.1, "min": 0.8, "max": 0.9}}
    assert Report.from_json(content).seeds == {"3": report.scores}


def test_slices_that_were_not_scored_are_an_empty_object(content: dict[str, Any]) -> None:
    assert Report.from_json(content | {"slices": {}}).slices is None
    assert Report().to_json()["slices"] == {}


def test_the_written_json_holds_only_plain_values(folder: Path, content: dict[str, Any]) -> None:
    assert json.loads((folder / "report.json").read_text(encoding="utf-8")) == content


def test_without_a_headline_the_first_three_scores_are_shown_first(report: Report) -> None:
    assert list(report.headline_scores) == ["accuracy", "f1", "mcc"]
    assert list(replace(report, headline=[]).headline_scores) == ["accuracy", "precision", "recall"]


def test_the_confidence_is_part_of_the_name_of_an_interval(report: Report) -> None:
    assert report.interval_name == "95% CI"
    assert Report().interval_name == "CI"


def test_the_seed_is_read_from_the_recipe() -> None:
    assert Report(recipe="task:\n  seed: 3\nseed: 42\n").seed == 42
    assert Report().seed is None
