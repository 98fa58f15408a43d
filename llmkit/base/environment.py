"""What a run ran on: versions, device, processor, threads. Read without importing the packages it names."""

from __future__ import annotations

import os
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["PACKAGES", "count_threads", "get_peak_memory_bytes", "read_processor_name", "read_versions"]

PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "accelerate", "peft", "safetensors", "numpy")


def read_versions() -> dict[str, Any]:
    """Python, platform, processor and package versions."""
    found = {name: _version(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        **found,
        "platform": platform.platform(),
        "processor": read_processor_name(),
        "cores": os.cpu_count(),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def read_processor_name() -> str:
    """The processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


def count_threads() -> int:
    """Threads that torch computes with in this process."""
    import torch

    return torch.get_num_threads()


def get_peak_memory_bytes() -> int:
    """The most memory this process has held so far (on a GPU: of the device)."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
