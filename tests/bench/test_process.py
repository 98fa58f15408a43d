"""Measuring a process: time, memory, output and failure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import process

SCRIPT = """
from bench.clock import Clock
clock = Clock()
clock.mark("ready")
total = sum(range(10**6))
block = bytearray(200_000_000)
block[::4096] = b"x" * len(block[::4096])
clock.mark("done")
clock.mark("ready")
print("noise")
clock.end(examples=3)
"""


def run_script(script: str, folder: Path) -> process.Measurement:
    return process.run([sys.executable, "-c", script], process.make_environment(1, folder), folder)


def test_time_memory_and_output_are_measured(tmp_path: Path) -> None:
    measurement = run_script(SCRIPT, tmp_path)
    assert measurement.output["examples"] == 3
    ready, done = (measurement.output["marks"][name] for name in ("ready", "done"))
    assert 0 < ready[0] <= done[0] <= measurement.wall_seconds
    assert 0 < ready[1] < done[1] <= measurement.cpu_seconds
    assert 200e6 < measurement.peak_bytes < 400e6
    assert 0 <= measurement.other_load <= 1


def test_peak_memory_excludes_the_parent_process(tmp_path: Path) -> None:
    block = bytearray(300_000_000)
    block[::4096] = b"x" * len(block[::4096])
    assert run_script("pass", tmp_path).peak_bytes < 50e6


def test_output_without_a_json_object_is_empty(tmp_path: Path) -> None:
    assert run_script("print('{not json')", tmp_path / "a").output == {}
    assert run_script("print([1])", tmp_path / "b").output == {}
    assert run_script("pass", tmp_path / "c").output == {}


def test_failure_reports_the_last_lines_of_stderr(tmp_path: Path) -> None:
    with pytest.raises(process.ProcessFailed, match=r"(?s)exit code 1.*ValueError: too hot"):
        run_script("raise ValueError('too hot')", tmp_path)


def test_data_caches_are_empty_and_models_are_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = tmp_path / "cache" / "assets" / "some-model"
    assets.mkdir(parents=True)
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path / "cache"))
    cache = Path(process.make_environment(2, tmp_path / "run")["LLMKIT_CACHE"])
    assert [path.name for path in cache.iterdir()] == ["assets"]
    assert (cache / "assets" / "some-model").is_dir()
