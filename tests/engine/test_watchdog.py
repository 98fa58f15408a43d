"""Only the process that makes no progress is reported, once, with its line of code."""

from __future__ import annotations

import time

import pytest

from llmkit.engine import watchdog


def stand_still(seconds: float) -> None:
    time.sleep(seconds)


def test_a_standstill_is_reported_with_process_last_step_and_line() -> None:
    reports: list[str] = []
    with watchdog.watch_progress(3, 0.1, reports.append) as record:
        record("step 7")
        stand_still(0.4)
    assert len(reports) == 1
    assert reports[0].startswith("process 3 has made no progress for 0 s since step 7")
    assert "in stand_still" in reports[0]


def test_progress_is_not_reported() -> None:
    reports: list[str] = []
    with watchdog.watch_progress(0, 0.2, reports.append) as record:
        for step in range(6):
            time.sleep(0.05)
            record(f"step {step}")
    assert reports == []


def test_a_process_that_waits_for_others_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "COLLECTIVES", (__file__,))
    reports: list[str] = []
    with watchdog.watch_progress(0, 0.1, reports.append):
        stand_still(0.3)
    assert reports == []
