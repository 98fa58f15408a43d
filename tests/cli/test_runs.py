"""`llmkit runs list | show`"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmkit.base.run import Run


def test_list_shows_finished_and_unfinished_runs(
    command: Callable[..., Any], finished: Path, unfinished: Path
) -> None:
    outcome = command("runs", "list", finished.parent)
    header, row = (" ".join(line.split()) for line in outcome.out.splitlines())
    assert header == "run state score value [95%]"
    assert row.startswith(f"{finished} finished accuracy ")
    row = " ".join(command("runs", "list", unfinished.parent).out.splitlines()[1].split())
    assert row == f"{unfinished} unfinished, step 4"


def test_list_as_json(command: Callable[..., Any], finished: Path, unfinished: Path) -> None:
    (run,) = command("runs", "list", finished.parent, "--json").json["runs"]
    report = Run(finished).read_report()
    assert run == {
        "run": str(finished),
        "state": "finished",
        "step": report["train"]["steps"],
        "metric": "accuracy",
        "score": report["scores"]["accuracy"],
    }
    (run,) = command("runs", "list", unfinished.parent, "--json").json["runs"]
    assert (run["state"], run["step"], run["score"]) == ("unfinished", 4, None)


def test_list_of_an_empty_folder(command: Callable[..., Any], tmp_path: Path) -> None:
    assert command("runs", "list", tmp_path).out == f"no runs in {tmp_path}\n"


def test_show_as_json_is_the_report(command: Callable[..., Any], finished: Path) -> None:
    assert command("runs", "show", finished, "--json").json == Run(finished).read_report()


def test_show_prints_the_resume_command_of_an_unfinished_run(
    command: Callable[..., Any], unfinished: Path
) -> None:
    assert command("runs", "show", unfinished).out.splitlines() == [
        f"{unfinished}: unfinished, step 4",
        f"resume   llmkit finetune {unfinished / 'recipe.yaml'} --out {unfinished} --resume",
    ]


def test_show_of_another_folder_is_a_one_line_error(command: Callable[..., Any], tmp_path: Path) -> None:
    outcome = command("runs", "show", tmp_path)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error[R01] {tmp_path}: not a run folder")


@pytest.fixture
def several(tiny_recipe: Path, tmp_path: Path, finished: Path) -> Path:
    """A run of three seeds: one finished, one killed at step 2, one not started."""
    folder = tmp_path / "several"
    for path in (folder, folder / "seed-1", folder / "seed-2"):
        path.mkdir()
        (path / "recipe.yaml").write_bytes(tiny_recipe.read_bytes())
    shutil.copy(finished / "report.json", folder / "seed-1")
    shutil.copy(finished / "log.jsonl", folder / "seed-1")
    steps = [json.dumps({"kind": "step", "step": number}) + "\n" for number in (1, 2)]
    (folder / "seed-2" / "log.jsonl").write_text("".join(steps), encoding="utf-8")
    return folder


def test_run_with_several_seeds_is_one_row(
    command: Callable[..., Any], several: Path, finished: Path
) -> None:
    lines = command("runs", "list", several.parent).out.splitlines()
    assert [" ".join(line.split()) for line in lines[1:]] == [f"{several} unfinished, 1 seed done, step 2"]
    assert command("runs", "show", several).out.splitlines() == [
        f"{several}: unfinished, 1 seed done, step 2",
        f"resume   llmkit finetune {several / 'recipe.yaml'} --out {several} --resume",
    ]
    (run,) = command("runs", "list", several.parent, "--json").json["runs"]
    assert (run["state"], run["step"], run["seeds_done"]) == ("unfinished", 2, 1)
    for path in (several, several / "seed-2"):
        shutil.copy(finished / "report.json", path)
    lines = command("runs", "list", several.parent).out.splitlines()
    assert " ".join(lines[1].split()).startswith(f"{several} finished, 2 seeds accuracy ")
