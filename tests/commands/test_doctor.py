"""Measurements of this machine. The tests make no network requests."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from llmkit.base import environment, files
from llmkit.commands import doctor as module
from llmkit.commands.doctor import doctor


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def timeout(*_: object, **options: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("llmkit.assets.download.ping_index", lambda _: None)
    monkeypatch.setattr("requests.head", timeout)
    monkeypatch.setattr(module, "SIZE", 64)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_doctor_reports_versions_devices_and_speeds(cache: Path, listener: Any) -> None:
    state = doctor(listener)
    assert {name: state[name] for name in environment.read_versions()} == environment.read_versions()
    assert state["threads"] == torch.get_num_threads()
    assert state["device"] == "cpu" or torch.accelerator.is_available()
    assert state["devices"] == (torch.accelerator.device_count() if torch.accelerator.is_available() else 0)
    assert state["precision_auto"] in ("fp32", "bf16", "fp16")
    assert {"fp32", "bf16"} <= set(state["gigaflops"])
    assert all(speed > 0 for speed in state["gigaflops"].values())
    json.dumps(state, allow_nan=False)


def test_doctor_reports_network_access(cache: Path, listener: Any) -> None:
    state = doctor(listener)
    assert (state["index"], state["hub"]) == ("reachable", "not reachable (TimeoutError)")
    assert listener.notes == ["contacting the package index", "contacting the Hub"]
    assert set(listener.works) == {"measuring"}


def test_doctor_reports_the_cache(cache: Path, listener: Any) -> None:
    empty = doctor(listener)["cache"]
    assert (empty["folder"], empty["bytes"]) == (str(cache), 0)
    assert set(empty["assets"].values()) == {"not fetched"}
    assert not cache.exists()  # doctor writes nothing
    files.write_text(cache / "a" / "b.txt", "12345")
    full = doctor(listener)["cache"]
    assert full["bytes"] == 5
    assert full["free_bytes"] > 0


def test_speed_is_that_of_the_fastest_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """GFLOP/s are 2 n**3 operations / seconds / 1e9 of the fastest product."""
    monkeypatch.setattr(module, "SIZE", 400)
    seconds = iter(np.cumsum([0, 1.0, 0, 0.002, 0, 0.004, *[0, 0.4] * 6]))
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    assert module._measure_gigaflops(torch.device("cpu"), "fp32") == pytest.approx(
        2 * 100**3 / 0.002 / 1e9, abs=0.05
    )


def test_slow_precision_is_measured_at_the_smallest_size_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SIZE", 400)
    seconds = iter(np.cumsum([0.0, *[1.0] * 100]))
    products = []

    def tick() -> float:
        products.append(1)
        return next(seconds)

    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=tick))
    module._measure_gigaflops(torch.device("cpu"), "bf16")
    assert len(products) == 2 * 3  # three products of the smallest size only
