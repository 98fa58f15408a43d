"""The run folder: its layout, its lock, and finding runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llmkit.base import run as module
from llmkit.base.errors import RunError, StorageError
from llmkit.base.run import Run, find_runs, make_run_path


def make_run(path: Path) -> Run:
    path.mkdir(parents=True)
    (path / "recipe.yaml").write_text("task: {name: classification}\n")
    return Run(path)


def get_line(caught: pytest.ExceptionInfo[RunError]) -> str:
    (only,) = caught.value.lines()
    return only


def test_layout_matches_the_module_docstring() -> None:
    run = Run(Path("r"))
    paths = [run.recipe, run.environment, run.log, run.checkpoints, run.model, run.report]
    names = ["recipe.yaml", "environment.json", "log.jsonl", "checkpoints", "model", "report.json"]
    assert paths == [Path("r") / name for name in names]
    assert run.predictions("test") == Path("r/predictions/test.jsonl")
    assert module.__doc__ is not None
    assert all(name in module.__doc__ for name in names)


def test_recipe_makes_a_run_exist_and_report_makes_it_finished(tmp_path: Path) -> None:
    run = Run(tmp_path / "a")
    assert (run.exists, run.finished) == (False, False)
    make_run(run.path)
    assert (run.exists, run.finished) == (True, False)
    run.report.write_text('{"name": "a"}')
    assert (run.exists, run.finished) == (True, True)
    assert run.read_report() == {"name": "a"}


def test_log_lines_are_split_at_newlines_only(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    assert run.read_log() == []
    lines = [{"kind": "step", "step": 1}, {"kind": "evaluation", "note": "two\u2028lines"}]
    text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in lines)
    run.log.write_text(text, encoding="utf-8")
    assert run.read_log() == lines


def test_unfinished_last_line_of_the_log_is_skipped(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    run.log.write_text('{"step": 1}\n{"step": 2, "lo')
    assert run.read_log() == [{"step": 1}]


def test_damaged_report_is_an_error(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    run.report.write_text('{"name": ')
    with pytest.raises(RunError) as caught:
        run.read_report()
    assert get_line(caught).startswith(f"error[R05] {run.report}: the report is damaged (")


def test_open_returns_the_run(tmp_path: Path) -> None:
    assert Run.open(make_run(tmp_path / "a").path) == Run(tmp_path / "a")


def test_open_suggests_the_most_similar_run(tmp_path: Path) -> None:
    make_run(tmp_path / "sentiment-first")
    make_run(tmp_path / "other")
    with pytest.raises(RunError) as caught:
        Run.open(tmp_path / "sentiment-frist")
    assert get_line(caught) == (
        f"error[R01] {tmp_path}/sentiment-frist: not a run folder (recipe.yaml is missing); did you mean "
        f'"{tmp_path}/sentiment-first"? Fix: choose one of the runs that `llmkit runs list` shows'
    )


def test_open_searches_all_runs_if_the_parent_folder_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(Path("runs/sentiment/20261122-141502-3f2a1b"))
    with pytest.raises(RunError) as caught:
        Run.open(Path("runs/sentimant/20261122-141502-3f2a1b"))
    assert 'did you mean "runs/sentiment/20261122-141502-3f2a1b"?' in get_line(caught)


def test_open_suggests_nothing_if_no_run_is_similar(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        Run.open(tmp_path / "nowhere")
    assert "did you mean" not in get_line(caught)


SECOND_WRITER = """
import sys
from pathlib import Path
from llmkit.base.errors import RunError
from llmkit.base.run import Run
try:
    with Run(Path(sys.argv[1])).writing():
        print("written")
except RunError as error:
    print(error)
"""


def write_in_second_process(path: Path) -> str:
    process = subprocess.run(
        [sys.executable, "-c", SECOND_WRITER, str(path)], capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


def test_second_writer_is_refused_without_waiting(tmp_path: Path) -> None:
    run = Run(tmp_path / "new" / "run")
    refused = (
        f"error[R03] {run.path}: another process is writing this run. "
        "Fix: wait for it, or choose another --out"
    )
    with run.writing():
        assert write_in_second_process(run.path) == refused
        with pytest.raises(RunError) as caught, Run(run.path).writing():
            pass
        assert get_line(caught) == refused
    assert write_in_second_process(run.path) == "written"


def test_lock_is_released_after_an_error(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with pytest.raises(ZeroDivisionError), run.writing():
        raise ZeroDivisionError
    with run.writing():
        pass


def test_file_at_the_path_of_the_run_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(StorageError, match="W03"), Run(tmp_path / "a").writing():
        pass


def test_find_runs_returns_the_oldest_first(tmp_path: Path) -> None:
    assert find_runs(tmp_path) == find_runs(tmp_path / "not there") == []
    names = [
        "topic/20260102-000000-aaaaaa",
        "sentiment/20260101-235959-ffffff",
        "topic/20260103-000000-000000",
    ]
    created = {name: make_run(tmp_path / name) for name in names}
    (tmp_path / "topic" / "no run").mkdir()
    assert find_runs(tmp_path) == [created[names[1]], created[names[0]], created[names[2]]]


def test_new_run_paths_sort_by_time_and_are_unique(tmp_path: Path) -> None:
    first = make_run_path("sentiment", "3f2a1b9999", tmp_path)
    assert re.fullmatch(r"\d{8}-\d{6}-3f2a1b", first.name)
    assert first.parent == tmp_path / "sentiment"
    assert not first.exists()
    paths = set()
    for _ in range(3):  # several runs within one second
        path = make_run_path("sentiment", "3f2a1b9999", tmp_path)
        assert path not in paths
        paths.add(make_run(path).path)


def test_runs_of_single_seeds_are_listed_as_one_run(tmp_path: Path) -> None:
    whole = make_run(tmp_path / "topic" / "20260102-000000-aaaaaa")
    assert whole.seeds == {}
    single = {seed: make_run(whole.of_seed(seed).path) for seed in (10, 2)}
    whole.of_seed(3).path.mkdir()  # not started
    make_run(whole.path / "seed-x")  # not a number
    assert whole.seeds == {2: single[2], 10: single[10]}
    assert list(whole.seeds) == [2, 10]
    assert find_runs(tmp_path) == [whole, Run(whole.path / "seed-x")]
    assert Run.open(single[2].path) == single[2]


def test_run_named_like_a_seed_is_listed_if_its_parent_is_not_a_run(tmp_path: Path) -> None:
    assert find_runs(tmp_path) == []
    alone = make_run(tmp_path / "seed-1")
    assert find_runs(tmp_path) == [alone]
