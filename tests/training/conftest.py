"""Fixtures that script validation scores and signals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from llmkit.engine import signals
from llmkit.metrics.tasks.classification import METRICS
from llmkit.tasks.classification import Classification


@pytest.fixture
def script_scores(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sets the scores of the following validations."""

    def script(**columns: list[float]) -> None:
        rows = iter([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])
        other = dict.fromkeys(["loss", *METRICS], 0.0)
        monkeypatch.setattr(Classification, "_compute_values", lambda *_: {**other, **next(rows)})

    return script


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Return a function that lets a signal arrive during a step."""

    def arrange(step: int, number: int) -> None:
        @contextmanager
        def catch_stop_signals() -> Iterator[Any]:
            numbers = iter([None] * (step - 1))

            class StopRequest:
                @property
                def number(self) -> int | None:
                    return next(numbers, number)

            yield StopRequest()

        monkeypatch.setattr(signals, "catch_stop_signals", catch_stop_signals)

    return arrange
