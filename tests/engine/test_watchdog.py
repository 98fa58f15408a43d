"""Only the process that makes no progress speaks, once, with the line it is at."""

from __future__ import annotations

import time

import pytest

from llmkit.engine import watchdog


def stand_still(seconds: float) -> None:
    time.sleep(seconds)


def test_it_names_the_process_its_last_step_and_the_line() -> None:
    said: list[str] = []
    with watchdog.watch_progress(3, 0.1, said.append) as beat:
        beat("step 7")
        stand_still(0.4)
    assert len(said) == 1
    assert said[0].startswith("process 3 has done nothing for 0 s since step 7")
    assert "in stand_still" in said[0]


def test_progress_is_silent() -> None:
    said: list[str] = []
    with watchdog.watch_progress(0, 0.2, said.append) as beat:
        for step in range(6):
            time.sleep(0.05)
            beat(f"step {step}")
    assert said == []


def test_a_process_that_waits_for_others_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "WAITING", (__file__,))
    said: list[str] = []
    with watchdog.watch_progress(0, 0.1, said.append):
        stand_still(0.3)
    assert said == []
