"""The table: ratios within rounds and goals. The results file: continuing a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import run as bench
from bench import table
from bench.results import Results
from bench.suite import (
    Figure,
    Goal,
    Record,
    Settings,
    Suite,
    Variant,
    compare,
    compute_mfu,
    peak_bytes,
    per_example,
    seconds_between,
    value_of,
)

WORK = per_example(seconds_between("ready", "done"))


def make_record(variant: str, number: int, seconds: float, **changes: Any) -> Record:
    """Return a run of ten examples with this real time, and half of it as CPU time."""
    marks = {"ready": [1.0, 1.0], "done": [1.0 + seconds, 1.0 + seconds / 2]}
    settings: dict[str, Any] = {
        "threads": 2,
        "size": 10,
        "wall_seconds": 9.0,
        "cpu_seconds": 8.0,
        "peak_bytes": 5_000_000,
        "other_load": 0.0,
        "gflops": (100.0, 50.0),
        "output": {"marks": marks, "examples": 10},
    }
    return Record("toy", variant, number, **{**settings, **changes})


def make_suite(variants: Sequence[str] = ("ours", "theirs"), bound: float = 3) -> Suite:
    return Suite(
        "toy",
        "Nothing.",
        10,
        [Variant(name, ["true"]) for name in variants],
        [Figure("work", "ms per example", WORK, 1000), Figure("memory", "MB", peak_bytes, 1e-6)],
        [Goal("faster", compare(WORK, "theirs", "ours"), bound, True)],
    )


# The medians of ours and theirs are 2 and 6. The median of the ratios is 4, not the ratio of the medians.
RUNS = [
    *(make_record("ours", n, s) for n, s in ((1, 1.0), (2, 2.0), (3, 4.0))),
    *(make_record("theirs", n, s) for n, s in ((1, 6.0), (2, 8.0), (3, 2.0))),
]


def test_goal_uses_the_median_of_the_ratios_within_rounds() -> None:
    text = table.format_suite(make_suite(), RUNS, ["A fact."])
    assert "| faster | >= 3 x | 4 x | 6, 4, 0.5 | met |" in text
    assert "| ours | 200 [100, 400] | 5 [5, 5] |" in text
    assert "- A fact." in text and "seconds of real time" in text


def test_goal_is_missed_if_the_median_is_beyond_its_bound() -> None:
    assert "| missed |" in table.format_suite(make_suite(bound=4.1), RUNS, [])
    smaller = Goal("smaller", value_of(peak_bytes, "ours"), 4e6, False)
    assert not smaller.is_met(5e6) and smaller.is_met(4e6)


def test_one_thread_is_measured_in_cpu_time() -> None:
    runs = [make_record("ours", 1, 1.0, threads=1), make_record("theirs", 1, 6.0, threads=1)]
    text = table.format_suite(make_suite(), runs, [])
    assert "seconds of CPU time" in text and "| ours | 50 | 5 |" in text


def test_incomplete_round_and_busy_machine_are_marked() -> None:
    text = table.format_suite(make_suite(), [make_record("ours", 1, 1.0, other_load=0.06)], [])
    assert "not measured" in text
    assert "| ours\\* |" in text and "more than 5%" in text


def test_mfu_is_relative_to_the_probe() -> None:
    run = make_record("ours", 1, 2.0)  # 0.2 s of real time per example, 0.1 s of CPU time
    mfu = compute_mfu(seconds_between("ready", "done"), 10e9)
    assert mfu(run, "wall") == pytest.approx(10e9 / 0.2 / 100e9)
    assert mfu(run, "cpu") == pytest.approx(10e9 / 0.1 / 50e9)


def test_results_are_read_back_from_the_file(tmp_path: Path) -> None:
    written = Results(tmp_path / "day.json")
    for run in RUNS:
        written.add(run)
    read = Results(tmp_path / "day.json")
    assert read.records == RUNS and read.machine == written.machine
    assert read.has("toy", "ours", 3, 2, 10)
    assert not read.has("toy", "ours", 3, 1, 10) and not read.has("toy", "ours", 4, 2, 10)


def test_finished_runs_are_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []

    def measure(_suite: Suite, variant: Variant, number: int, *_: Any) -> tuple[Record, tuple[float, float]]:
        runs.append(f"{variant.name} {number}")
        if runs == ["ours 1", "theirs 1"]:
            raise KeyboardInterrupt
        return make_record(variant.name, number, 1.0), (1.0, 1.0)

    monkeypatch.setattr(bench, "measure", measure)
    monkeypatch.setattr(bench, "probe", lambda _: (1.0, 1.0))
    settings, path = Settings(tmp_path, 2, 10), tmp_path / "day.json"
    with pytest.raises(KeyboardInterrupt):
        bench.run_round(make_suite(), 1, settings, Results(path))
    bench.run_round(make_suite(), 1, settings, Results(path))
    assert runs == ["ours 1", "theirs 1", "theirs 1"]


def test_runs_on_a_busy_machine_are_removed(tmp_path: Path) -> None:
    results = Results(tmp_path / "day.json")
    results.add(make_record("ours", 1, 1.0, other_load=0.04))
    results.add(make_record("ours", 2, 1.0, other_load=0.06))
    results.remove_busy(table.BUSY)
    assert [run.round for run in results.records] == [1]


def test_facts_are_computed_from_complete_rounds(tmp_path: Path) -> None:
    received: list[Any] = []
    suite = Suite(
        "toy",
        "",
        10,
        [Variant("ours", []), Variant("theirs", [])],
        [],
        facts=lambda rounds: received.extend(rounds) or ["x"],
    )
    settings, results = Settings(tmp_path, 2, 10), Results(tmp_path / "day.json")
    for variant, number, done in ((0, 1, True), (1, 1, True), (0, 2, True), (1, 2, False), (0, 3, True)):
        if done:
            results.add(make_record(suite.variants[variant].name, number, 1.0))
        folder = settings.run_folder(suite, suite.variants[variant], number)
        folder.mkdir(parents=True)
        (folder / "stdout").write_text(f'noise\n{{"outputs": {number}}}\n')
    results.update_facts(suite, settings)
    assert received == [{"ours": 1, "theirs": 1}]
    assert Results(tmp_path / "day.json").facts == {"toy 2 10": ["x"]}
