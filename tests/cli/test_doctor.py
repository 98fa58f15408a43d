"""`llmkit doctor`: what it finds, as tables and as JSON. The network is not asked here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmkit.base import environment
from llmkit.commands import doctor as workflow


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "_ping_index", lambda: None)

    def unreachable() -> None:
        raise TimeoutError

    monkeypatch.setattr(workflow, "_ping_hub", unreachable)


def test_json_is_one_object(command: Callable[..., Any]) -> None:
    found = command("doctor", "--json").json
    assert set(environment.PACKAGES) <= set(found)
    assert found["gigaflops"]["fp32"] > 0
    assert found["precision_auto"] in ("fp32", "bf16", "fp16")
    assert (found["index"], found["hub"]) == ("reachable", "not reachable (TimeoutError)")


def test_the_screen_has_a_section_for_each_kind(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMKIT_CACHE", str(tmp_path))  # other tests may have fetched into the shared one
    done = command("doctor")
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    for title in ("versions", "machine", "network", "cache"):
        assert title in lines
    assert "Hub not reachable (TimeoutError)" in lines
    assert "index:all-MiniLM-L6-v2 not fetched" in lines
    assert done.err.splitlines() == ["contacting the package index", "contacting the Hub"]
