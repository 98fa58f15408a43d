"""`llmkit finetune`: printed result, JSON object and plan."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

INTERVAL = r"\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]"


@pytest.fixture
def result(command: Callable[..., Any], tiny_recipe: Path, tmp_path: Path) -> Any:
    return command("finetune", tiny_recipe, "train.max_steps=2", "--out", tmp_path / "run", "--json")


def test_json_has_the_keys_that_scripts_rely_on(result: Any, tmp_path: Path) -> None:
    content = result.json
    assert result.code == 0
    assert result.out.count("\n") == 1
    assert content["run"] == str(tmp_path / "run")
    assert isinstance(content["model"], str)
    for score in (content["scores"]["accuracy"], content["baselines"]["majority"]["accuracy"]):
        assert set(score) == {"value", "low", "high", "n", "method"}
        assert 0 <= score["low"] <= score["value"] <= score["high"] <= 1
    figures = ("seconds", "examples_per_second", "tokens_per_second", "peak_memory_bytes")
    assert all(content["train"][figure] > 0 for figure in figures)


def test_notes_go_to_stderr(result: Any) -> None:
    assert "train: 160 rows from" in result.err
    assert "step 2: validation loss" in result.err


def test_output_compares_scores_with_baselines(command: Callable[..., Any], finished: Path) -> None:
    lines = command("runs", "show", finished).out.splitlines()
    assert lines[0] == "test: 16 examples, 95% intervals"
    assert lines[1].split() == ["accuracy", "f1", "mcc"]
    for line, name in zip(lines[2:5], ["model", "majority", "tfidf"], strict=True):
        assert line.split()[0] == name
        assert re.search(INTERVAL, line)
    text = "\n".join(lines)
    assert "than always predicting the most frequent class" in text
    assert re.search(r"\d+ steps in \d+ s: [\d.]+ examples/s, [\d,]+ tokens/s, peak memory [\d.]+ GB", text)
    assert f"report   {finished / 'report.html'}" in lines
    assert f"model    {finished / 'model'}" in lines
    assert lines[-1] == f'try      llmkit predict {finished} "your text"'


def test_dry_run_prints_the_plan_and_writes_nothing(
    command: Callable[..., Any], tiny_recipe: Path, tmp_path: Path
) -> None:
    outcome = command("finetune", tiny_recipe, "train.max_steps=100", "--out", tmp_path / "run", "--dry-run")
    assert outcome.code == 0
    lines = [line.split() for line in outcome.out.splitlines()]
    assert [line[:2] for line in lines[1:5]] == [
        ["split", "examples"],
        ["train", "128"],
        ["validation", "16"],
        ["test", "16"],
    ]
    assert "labels: negative, positive" in outcome.out
    assert (
        "100 steps (6 of warm-up, then linear), evaluation every 16, checkpoint every 16 steps" in outcome.out
    )
    assert not (tmp_path / "run").exists()


def test_finished_run_is_not_overwritten(
    command: Callable[..., Any], tiny_recipe: Path, finished: Path
) -> None:
    before = (finished / "report.json").read_bytes()
    outcome = command("finetune", tiny_recipe, "--out", finished)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error[R02] {finished}: ")
    assert (finished / "report.json").read_bytes() == before


# Several seeds


def test_scores_of_each_seed_are_followed_by_their_mean(
    command: Callable[..., Any], tiny_recipe: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    arguments = ["finetune", tiny_recipe, "train.max_steps=2", "train.seeds=[4,2]", "--out", run]
    outcome = command(*arguments)
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0] == "test: 16 examples, 95% intervals"
    starts = [re.split(r" {2,}", line)[0] for line in lines[2:8]]
    best = json.loads((run / "report.json").read_text())["kept_seed"]
    names = [f"seed {seed}{', model kept' if seed == best else ''}" for seed in (4, 2)]
    assert starts == [*names, "mean of 2 seeds", "majority", "tfidf", "untuned"]
    assert all(re.search(INTERVAL, line) for line in lines[2:8])
    assert lines[8].startswith("Over 2 seeds, mean accuracy is 0.")
    assert [line for line in lines[9:11] if line.startswith("The model is better than ")] == lines[9:11]
    assert f"model    {run / 'model'}" in lines
    assert (
        f"model/ and predictions/ come from seed {best}, which had the best validation score" in outcome.err
    )
    assert "seed 2 (2 of 2)" in outcome.err

    assert command("runs", "show", run).out == outcome.out
    result = command(*arguments, "--resume", "--json").json
    assert result == command("runs", "show", run, "--json").json
    assert set(result["scores"]["accuracy"]) == {"value", "low", "high", "n", "method"}
    assert set(result["spread"]["accuracy"]) == {"sd", "min", "max"}
    assert list(result["seeds"]) == ["4", "2"]


def test_plan_lists_the_seeds(command: Callable[..., Any], tiny_recipe: Path, tmp_path: Path) -> None:
    outcome = command("finetune", tiny_recipe, "train.max_steps=50", "train.seeds=[1,2,3]", "--dry-run")
    assert outcome.code == 0, outcome.err
    assert "3 seeds (1, 2, 3), each with 50 steps (3 of warm-up, then linear)" in outcome.out
    one = command("finetune", tiny_recipe, "train.max_steps=50", "train.seeds=[2]", "--dry-run")
    assert "\n50 steps (3 of warm-up" in one.out
    again = command("finetune", tiny_recipe, "train.seeds=[1,1]", "--dry-run")
    assert (again.code, again.out) == (2, "")
    assert again.err.startswith("error[C10] train.seeds: gives 1 twice")
