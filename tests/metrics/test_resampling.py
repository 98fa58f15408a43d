from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from llmkit.metrics.intervals import mean
from llmkit.metrics.resampling import DEFAULT_RESAMPLING, Resampling

VALUES = np.random.default_rng(1).exponential(size=80)


def test_defaults_are_95_percent_and_2000_resamples() -> None:
    assert Resampling() == DEFAULT_RESAMPLING
    assert mean(VALUES).method == "BCa bootstrap, 2000 draws, 95%"


def test_each_field_changes_the_interval() -> None:
    default = mean(VALUES)
    for resampling in (Resampling(confidence=0.9), Resampling(resamples=500), Resampling(seed=7)):
        other = mean(VALUES, resampling=resampling)
        assert other.value == default.value
        assert (other.low, other.high) != (default.low, default.high)


def test_resampling_is_immutable() -> None:
    with pytest.raises(AttributeError):
        DEFAULT_RESAMPLING.seed = 3  # type: ignore[misc]


def test_importing_the_settings_loads_no_numpy() -> None:
    code = "import sys, llmkit.metrics.resampling; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
