"""Page faults of repeated large allocations, with and without keeping freed memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import torch
from llmkit.models.cpu.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(30):  # until the heap has room for a whole block
    torch.ones(16 << 20)  # 64 MB
before = faults()
for _ in range(10):
    torch.ones(16 << 20)
print(faults() - before)
"""


def count_page_faults(mode: str) -> int:
    """Run the program in a process of its own and return the page faults of ten allocations."""
    result = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True)
    return int(result.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_freed_blocks_are_reused_without_page_faults() -> None:
    assert count_page_faults("kept") < 100 < count_page_faults("returned")
