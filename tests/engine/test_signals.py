"""The first signal requests a stop, the second one interrupts, and the previous handlers are restored."""

from __future__ import annotations

import os
import signal

import pytest

from llmkit.engine import signals


@pytest.mark.parametrize("number", signals.STOP_SIGNALS)
def test_the_first_signal_requests_a_stop_and_the_second_interrupts(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with signals.catch_stop_signals() as request:
        assert request.number is None
        os.kill(os.getpid(), number)
        assert request.number == number
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
