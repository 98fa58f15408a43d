"""Blocks asked for again and again: how many pages the system had to bring."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCKS = """
import resource, sys
import torch
from llmkit.models.cpu.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(30):  # until no small object stands in the way
    torch.ones(16 << 20)  # 64 MB
before = faults()
for _ in range(10):
    torch.ones(16 << 20)
print(faults() - before)
"""


def faults(how: str) -> int:
    found = subprocess.run([sys.executable, "-c", BLOCKS, how], capture_output=True, text=True, check=True)
    return int(found.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_freed_blocks_are_taken_again() -> None:
    assert faults("kept") < 100 < faults("given back")
