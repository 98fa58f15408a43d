"""Keep freed memory in the allocator, because reuse is about 10x faster than returning it and faulting it back in.

A training step allocates and frees the same blocks again and again. glibc returns blocks over 32 MB, such as the
gradient of a vocabulary, to the system each time, and then every page of the next block is a page fault: 19 ms instead
of 2 ms for MiniLM's vocabulary.
"""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # from malloc.h
NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for the rest of this process. Does nothing on other C libraries."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, NEVER)
