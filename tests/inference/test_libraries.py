"""Importing the large libraries freezes their objects and restores the garbage collector."""

from __future__ import annotations

import subprocess
import sys

WITHOUT_TORCH = """
import gc, sys
from llmkit.inference import libraries
assert "torch" not in sys.modules
gc.{first}()
libraries.load()
assert "torch" in sys.modules and "transformers" in sys.modules and "accelerate" in sys.modules
assert gc.isenabled() == ("{first}" == "enable")
assert gc.get_freeze_count() > 100_000
"""
WITH_TORCH = """
import gc, torch
from llmkit.inference import libraries
libraries.load()
assert gc.isenabled() and gc.get_freeze_count() < 100_000
"""


def run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_imported_objects_are_frozen() -> None:
    run(WITHOUT_TORCH.format(first="enable"))


def test_disabled_collector_stays_disabled() -> None:
    run(WITHOUT_TORCH.format(first="disable"))


def test_nothing_is_frozen_where_torch_is_imported_already() -> None:
    run(WITH_TORCH)
