"""What this machine can do, measured here and now; the network is not asked."""

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
    def timeout() -> None:
        raise TimeoutError

    monkeypatch.setattr(module, "_ping_index", lambda: None)
    monkeypatch.setattr(module, "_ping_hub", timeout)
    monkeypatch.setattr(module, "SIZE", 64)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_says_what_is_here(cache: Path, listener: Any) -> None:
    found = doctor(listener)
    assert {name: found[name] for name in environment.read_versions()} == environment.read_versions()
    assert found["threads"] == torch.get_num_threads()
    assert found["device"] == "cpu" or torch.accelerator.is_available()
    assert found["devices"] == (torch.accelerator.device_count() if torch.accelerator.is_available() else 0)
    assert found["precision_auto"] in ("fp32", "bf16", "fp16")
    assert {"fp32", "bf16"} <= set(found["gigaflops"])
    assert all(speed > 0 for speed in found["gigaflops"].values())
    json.dumps(found, allow_nan=False)


def test_it_says_what_can_be_reached(cache: Path, listener: Any) -> None:
    found = doctor(listener)
    assert (found["index"], found["hub"]) == ("reachable", "not reachable (TimeoutError)")
    assert listener.notes == ["contacting the package index", "contacting the Hub"]
    assert set(listener.works) == {"measuring"}


def test_it_says_what_is_cached(cache: Path, listener: Any) -> None:
    empty = doctor(listener)["cache"]
    assert (empty["folder"], empty["bytes"]) == (str(cache), 0)
    assert set(empty["assets"].values()) == {"not fetched"}
    assert not cache.exists()  # looking writes nothing
    files.write_text(cache / "a" / "b.txt", "12345")
    full = doctor(listener)["cache"]
    assert full["bytes"] == 5
    assert full["free_bytes"] > 0


def test_the_speed_is_that_of_the_best_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 n**3 operations, in 10**9 a second; a slow first product does not count."""
    monkeypatch.setattr(module, "SIZE", 400)
    seconds = iter(np.cumsum([0, 1.0, 0, 0.002, 0, 0.004, *[0, 0.4] * 6]))
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))
    assert module._measure_gigaflops(torch.device("cpu"), "fp32") == pytest.approx(
        2 * 100**3 / 0.002 / 1e9, abs=0.05
    )


def test_a_slow_format_is_not_measured_at_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SIZE", 400)
    seconds = iter(np.cumsum([0.0, *[1.0] * 100]))
    products = []

    def tick() -> float:
        products.append(1)
        return next(seconds)

    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=tick))
    module._measure_gigaflops(torch.device("cpu"), "bf16")
    assert len(products) == 2 * 3  # three products of the smallest size only
