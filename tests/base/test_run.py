"""The run folder: its layout, its one writer, and finding it again."""

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


def make(path: Path) -> Run:
    path.mkdir(parents=True)
    (path / "recipe.yaml").write_text("task: {name: classification}\n")
    return Run(path)


def line(caught: pytest.ExceptionInfo[RunError]) -> str:
    (only,) = caught.value.lines()
    return only


def test_the_layout_is_the_one_documented() -> None:
    run = Run(Path("r"))
    paths = [run.recipe, run.environment, run.log, run.checkpoints, run.model, run.report]
    names = ["recipe.yaml", "environment.json", "log.jsonl", "checkpoints", "model", "report.json"]
    assert paths == [Path("r") / name for name in names]
    assert run.predictions("test") == Path("r/predictions/test.jsonl")
    assert module.__doc__ is not None
    assert all(name in module.__doc__ for name in names)


def test_a_run_exists_with_its_recipe_and_is_finished_with_its_report(tmp_path: Path) -> None:
    run = Run(tmp_path / "a")
    assert (run.exists, run.finished) == (False, False)
    make(run.path)
    assert (run.exists, run.finished) == (True, False)
    run.report.write_text('{"name": "a"}')
    assert (run.exists, run.finished) == (True, True)
    assert run.read_report() == {"name": "a"}


def test_the_log_is_read_line_by_line(tmp_path: Path) -> None:
    run = make(tmp_path / "a")
    assert run.read_log() == []
    lines = [{"kind": "step", "step": 1}, {"kind": "evaluation", "note": "two\u2028lines"}]
    text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in lines)
    run.log.write_text(text, encoding="utf-8")
    assert run.read_log() == lines


def test_half_a_line_of_a_killed_run_is_not_read(tmp_path: Path) -> None:
    run = make(tmp_path / "a")
    run.log.write_text('{"step": 1}\n{"step": 2, "lo')
    assert run.read_log() == [{"step": 1}]


def test_a_damaged_report_is_told(tmp_path: Path) -> None:
    run = make(tmp_path / "a")
    run.report.write_text('{"name": ')
    with pytest.raises(RunError) as caught:
        run.read_report()
    assert line(caught).startswith(f"error[R05] {run.report}: is damaged (")


def test_open_gives_the_run(tmp_path: Path) -> None:
    assert Run.open(make(tmp_path / "a").path) == Run(tmp_path / "a")


def test_open_names_the_nearest_run(tmp_path: Path) -> None:
    make(tmp_path / "sentiment-first")
    make(tmp_path / "other")
    with pytest.raises(RunError) as caught:
        Run.open(tmp_path / "sentiment-frist")
    assert line(caught) == (
        f"error[R01] {tmp_path}/sentiment-frist: is no run folder (it has no recipe.yaml); did you mean "
        f'"{tmp_path}/sentiment-first"? Fix: `llmkit runs list` shows the runs'
    )


def test_open_looks_among_all_runs_when_the_parent_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("runs/sentiment/20261122-141502-3f2a1b"))
    with pytest.raises(RunError) as caught:
        Run.open(Path("runs/sentimant/20261122-141502-3f2a1b"))
    assert 'did you mean "runs/sentiment/20261122-141502-3f2a1b"?' in line(caught)


def test_open_has_no_hint_where_nothing_is_near(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        Run.open(tmp_path / "nowhere")
    assert "did you mean" not in line(caught)


SECOND = """
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


def second_process(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SECOND, str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_second_writer_is_refused_at_once(tmp_path: Path) -> None:
    run = Run(tmp_path / "new" / "run")
    refused = f"error[R03] {run.path}: another process is writing this run. Fix: wait for it, or choose --out"
    with run.writing():
        assert second_process(run.path) == refused
        with pytest.raises(RunError) as caught, Run(run.path).writing():
            pass
        assert line(caught) == refused
    assert second_process(run.path) == "written"


def test_the_lock_is_given_back_after_an_error(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with pytest.raises(ZeroDivisionError), run.writing():
        raise ZeroDivisionError
    with run.writing():
        pass


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(StorageError, match="W03"), Run(tmp_path / "a").writing():
        pass


def test_runs_come_oldest_first(tmp_path: Path) -> None:
    assert find_runs(tmp_path) == find_runs(tmp_path / "not there") == []
    names = [
        "topic/20260102-000000-aaaaaa",
        "sentiment/20260101-235959-ffffff",
        "topic/20260103-000000-000000",
    ]
    found = {name: make(tmp_path / name) for name in names}
    (tmp_path / "topic" / "no run").mkdir()
    assert find_runs(tmp_path) == [found[names[1]], found[names[0]], found[names[2]]]


def test_new_paths_sort_by_time_and_are_never_taken(tmp_path: Path) -> None:
    first = make_run_path("sentiment", "3f2a1b9999", tmp_path)
    assert re.fullmatch(r"\d{8}-\d{6}-3f2a1b", first.name)
    assert first.parent == tmp_path / "sentiment"
    assert not first.exists()
    taken = set()
    for _ in range(3):  # within one second, names would be the same
        path = make_run_path("sentiment", "3f2a1b9999", tmp_path)
        assert path not in taken
        taken.add(make(path).path)


def test_the_runs_of_several_seeds_are_parts_of_one(tmp_path: Path) -> None:
    whole = make(tmp_path / "topic" / "20260102-000000-aaaaaa")
    assert whole.seeds == {}
    parts = {seed: make(whole.of_seed(seed).path) for seed in (10, 2)}
    whole.of_seed(3).path.mkdir()  # not begun
    make(whole.path / "seed-x")  # somebody else's
    assert whole.seeds == {2: parts[2], 10: parts[10]}
    assert list(whole.seeds) == [2, 10]
    assert find_runs(tmp_path) == [whole, Run(whole.path / "seed-x")]
    assert Run.open(parts[2].path) == parts[2]


def test_a_run_named_like_a_seed_is_listed_when_it_stands_alone(tmp_path: Path) -> None:
    """Its parent must be a run: only then it is a part of that."""
    assert find_runs(tmp_path) == []
    alone = make(tmp_path / "seed-1")
    assert find_runs(tmp_path) == [alone]
