"""Describe the machine and the software of a run: versions, processor, threads and memory.

Package versions are read from their metadata, without importing the packages.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path

__all__ = ["PACKAGES", "count_threads", "get_peak_memory_bytes", "read_processor_name", "read_versions"]

PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "accelerate", "peft", "safetensors", "numpy")


def read_versions() -> dict[str, str | int | None]:
    """Return the versions of Python, the packages and the platform, and the name and core count of the processor."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "python": platform.python_version(),
        **versions,
        "platform": platform.platform(),
        "processor": read_processor_name(),
        "cores": os.cpu_count(),
    }


def read_processor_name() -> str:
    """Return the name of the processor, such as `AMD EPYC 9R14`, as the operating system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


def count_threads() -> int:
    """Return the number of threads that torch computes with in this process."""
    import torch

    return torch.get_num_threads()


def get_peak_memory_bytes() -> int:
    """Return the peak memory so far, in bytes: of the GPU if there is one, else the resident memory of this process."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux reports KiB
