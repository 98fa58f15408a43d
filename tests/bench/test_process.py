"""A variant's process: what it used, what it said, and how it fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import process

SAYING = """
from bench.clock import Clock
clock = Clock()
clock.mark("ready")
total = sum(range(10**6))
held = bytearray(200_000_000)
held[::4096] = b"x" * len(held[::4096])
clock.mark("done")
clock.mark("ready")
print("noise")
clock.end(examples=3)
"""


def run(script: str, folder: Path) -> process.Measured:
    return process.run([sys.executable, "-c", script], process.environment(1, folder), folder)


def test_what_it_used_and_said(tmp_path: Path) -> None:
    found = run(SAYING, tmp_path)
    assert found.said["examples"] == 3
    ready, done = (found.said["marks"][name] for name in ("ready", "done"))
    assert 0 < ready[0] <= done[0] <= found.wall_seconds
    assert 0 < ready[1] < done[1] <= found.cpu_seconds
    assert 200e6 < found.peak_bytes < 400e6
    assert 0 <= found.foreign <= 1


def test_memory_is_that_of_the_process_alone(tmp_path: Path) -> None:
    mine = bytearray(300_000_000)
    mine[::4096] = b"x" * len(mine[::4096])
    assert run("pass", tmp_path).peak_bytes < 50e6


def test_output_that_is_no_object_says_nothing(tmp_path: Path) -> None:
    assert run("print('{not json')", tmp_path / "a").said == {}
    assert run("print([1])", tmp_path / "b").said == {}
    assert run("pass", tmp_path / "c").said == {}


def test_a_failure_tells_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(process.Failed, match=r"(?s)exit code 1.*ValueError: too hot"):
        run("raise ValueError('too hot')", tmp_path)


def test_caches_are_empty_and_models_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assets = tmp_path / "mine" / "assets" / "some-model"
    assets.mkdir(parents=True)
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path / "mine"))
    found = Path(process.environment(2, tmp_path / "run")["LLMKIT_CACHE"])
    assert [path.name for path in found.iterdir()] == ["assets"]
    assert (found / "assets" / "some-model").is_dir()
