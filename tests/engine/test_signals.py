"""The first signal asks, the second one stops; handlers come back."""

from __future__ import annotations

import os
import signal

import pytest

from llmkit.engine import signals


@pytest.mark.parametrize("number", signals.STOP_SIGNALS)
def test_first_signal_only_asks_and_the_second_stops(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with signals.catch_stop_signals() as request:
        assert request.number is None
        os.kill(os.getpid(), number)
        assert request.number == number
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
