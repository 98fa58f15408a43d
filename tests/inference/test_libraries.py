"""The libraries are imported once, apart from what the process had before, and collecting goes on."""

from __future__ import annotations

import subprocess
import sys

FRESH = """
import gc, sys
from llmkit.inference import libraries
assert "torch" not in sys.modules
gc.{first}()
libraries.load()
assert "torch" in sys.modules and "transformers" in sys.modules and "accelerate" in sys.modules
assert gc.isenabled() == ("{first}" == "enable")
assert gc.get_freeze_count() > 100_000
"""
KNOWN = """
import gc, torch
from llmkit.inference import libraries
libraries.load()
assert gc.isenabled() and gc.get_freeze_count() < 100_000
"""


def run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_what_is_imported_is_never_looked_through_again() -> None:
    run(FRESH.format(first="enable"))


def test_a_collector_that_was_off_stays_off() -> None:
    run(FRESH.format(first="disable"))


def test_a_process_that_has_torch_already_is_left_as_it_is() -> None:
    run(KNOWN)
