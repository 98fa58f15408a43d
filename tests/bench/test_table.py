"""Ratios within rounds, goals, and what is kept between two commands."""

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
    between,
    each_example,
    mfu,
    only,
    peak,
    ratio,
)

WORK = each_example(between("ready", "done"))


def record(variant: str, number: int, seconds: float, **changes: Any) -> Record:
    """A run of ten examples that took so long by the clock, and half of it of the processor."""
    marks = {"ready": [1.0, 1.0], "done": [1.0 + seconds, 1.0 + seconds / 2]}
    settings: dict[str, Any] = {
        "threads": 2,
        "size": 10,
        "wall_seconds": 9.0,
        "cpu_seconds": 8.0,
        "peak_bytes": 5_000_000,
        "foreign": 0.0,
        "gflops": (100.0, 50.0),
        "said": {"marks": marks, "examples": 10},
    }
    return Record("toy", variant, number, **{**settings, **changes})


def suite(variants: Sequence[str] = ("ours", "theirs"), bound: float = 3) -> Suite:
    return Suite(
        "toy",
        "Nothing.",
        10,
        [Variant(name, ["true"]) for name in variants],
        [Figure("work", "ms an example", WORK, 1000), Figure("memory", "MB", peak, 1e-6)],
        [Goal("faster", ratio(WORK, "theirs", "ours"), bound, True)],
    )


# Medians of ours and theirs are 2 and 6; of the ratios it is 4, which is no ratio of the medians.
RUNS = [
    *(record("ours", n, s) for n, s in ((1, 1.0), (2, 2.0), (3, 4.0))),
    *(record("theirs", n, s) for n, s in ((1, 6.0), (2, 8.0), (3, 2.0))),
]


def test_the_median_of_the_ratios_within_rounds() -> None:
    found = table.markdown(suite(), RUNS, ["A fact."])
    assert "| faster | >= 3 x | 4 x | 6, 4, 0.5 | met |" in found
    assert "| ours | 200 [100, 400] | 5 [5, 5] |" in found
    assert "- A fact." in found and "seconds of the clock" in found


def test_a_goal_is_missed_on_the_wrong_side_of_its_bound() -> None:
    assert "| missed |" in table.markdown(suite(bound=4.1), RUNS, [])
    smaller = Goal("smaller", only(peak, "ours"), 4e6, False)
    assert not smaller.met(5e6) and smaller.met(4e6)


def test_one_thread_is_measured_in_seconds_of_the_processor() -> None:
    runs = [record("ours", 1, 1.0, threads=1), record("theirs", 1, 6.0, threads=1)]
    found = table.markdown(suite(), runs, [])
    assert "seconds of the processor" in found and "| ours | 50 | 5 |" in found


def test_a_round_that_is_not_whole_and_a_busy_machine_are_said() -> None:
    found = table.markdown(suite(), [record("ours", 1, 1.0, foreign=0.06)], [])
    assert "not measured" in found
    assert "| ours\\* |" in found and "more than 5%" in found


def test_useful_work_as_a_share_of_the_probe() -> None:
    run = record("ours", 1, 2.0)  # 0.2 s an example by the clock, 0.1 of the processor
    share = mfu(between("ready", "done"), 10e9)
    assert share(run, "wall") == pytest.approx(10e9 / 0.2 / 100e9)
    assert share(run, "cpu") == pytest.approx(10e9 / 0.1 / 50e9)


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    kept = Results(tmp_path / "day.json")
    for run in RUNS:
        kept.add(run)
    found = Results(tmp_path / "day.json")
    assert found.records == RUNS and found.machine == kept.machine
    assert found.has("toy", "ours", 3, 2, 10)
    assert not found.has("toy", "ours", 3, 1, 10) and not found.has("toy", "ours", 4, 2, 10)


def test_what_was_run_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def measured(own: Suite, variant: Variant, number: int, *_: Any) -> tuple[Record, tuple[float, float]]:
        ran.append(f"{variant.name} {number}")
        if ran == ["ours 1", "theirs 1"]:
            raise KeyboardInterrupt
        return record(variant.name, number, 1.0), (1.0, 1.0)

    monkeypatch.setattr(bench, "measured", measured)
    monkeypatch.setattr(bench, "probe", lambda _: (1.0, 1.0))
    settings, path = Settings(tmp_path, 2, 10), tmp_path / "day.json"
    with pytest.raises(KeyboardInterrupt):
        bench.one_round(suite(), 1, settings, Results(path))
    bench.one_round(suite(), 1, settings, Results(path))
    assert ran == ["ours 1", "theirs 1", "theirs 1"]


def test_runs_on_a_busy_machine_can_be_forgotten(tmp_path: Path) -> None:
    results = Results(tmp_path / "day.json")
    results.add(record("ours", 1, 1.0, foreign=0.04))
    results.add(record("ours", 2, 1.0, foreign=0.06))
    results.forget(table.BUSY)
    assert [run.round for run in results.records] == [1]


def test_facts_are_of_rounds_whose_outputs_are_all_there(tmp_path: Path) -> None:
    told: list[Any] = []
    own = Suite(
        "toy",
        "",
        10,
        [Variant("ours", []), Variant("theirs", [])],
        [],
        facts=lambda r: told.extend(r) or ["x"],
    )
    settings, results = Settings(tmp_path, 2, 10), Results(tmp_path / "day.json")
    for variant, number, done in ((0, 1, True), (1, 1, True), (0, 2, True), (1, 2, False), (0, 3, True)):
        if done:
            results.add(record(own.variants[variant].name, number, 1.0))
        folder = settings.run_folder(own, own.variants[variant], number)
        folder.mkdir(parents=True)
        (folder / "stdout").write_text(f'noise\n{{"outputs": {number}}}\n')
    results.keep_facts(own, settings)
    assert told == [{"ours": 1, "theirs": 1}]
    assert Results(tmp_path / "day.json").facts == {"toy 2 10": ["x"]}
