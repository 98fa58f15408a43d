"""`llmkit doctor`: tables and JSON. The tests make no network requests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmkit.base import environment


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmkit.assets.download.ping_index", lambda _: None)

    def unreachable(*_: object, **options: object) -> None:
        raise TimeoutError

    monkeypatch.setattr("requests.head", unreachable)


def test_json_has_versions_speeds_and_network_access(command: Callable[..., Any]) -> None:
    state = command("doctor", "--json").json
    assert set(environment.PACKAGES) <= set(state)
    assert state["gigaflops"]["fp32"] > 0
    assert state["precision_auto"] in ("fp32", "bf16", "fp16")
    assert (state["index"], state["hub"]) == ("reachable", "not reachable (TimeoutError)")


def test_output_has_a_table_per_topic(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path))  # other tests may have filled the shared cache
    outcome = command("doctor")
    lines = [" ".join(line.split()) for line in outcome.out.splitlines()]
    for title in ("versions", "machine", "network", "cache"):
        assert title in lines
    assert "Hub not reachable (TimeoutError)" in lines
    assert "index:all-MiniLM-L6-v2 not fetched" in lines
    assert outcome.err.splitlines() == ["contacting the package index", "contacting the Hub"]
