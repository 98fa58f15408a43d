"""Check this machine: versions, devices, measured speed, network access and cache."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llmkit.base import environment, files
from llmkit.base.progress import Progress

if TYPE_CHECKING:
    import torch

    from llmkit.engine.precision import Precision

__all__ = ["doctor"]

SIZE = 1024  # rows and columns of the measured matrix product; 2 * SIZE**3 operations
PATIENCE = 5.0  # seconds to wait for a server


def doctor(progress: Progress) -> dict[str, Any]:
    """Measure and return everything that `llmkit doctor` prints. Takes about ten seconds."""
    import requests
    import torch
    from huggingface_hub import constants

    from llmkit.assets import download, store
    from llmkit.engine.precision import choose_precision

    def ping_hub() -> None:
        requests.head(constants.ENDPOINT, timeout=PATIENCE).raise_for_status()

    folder = files.get_cache_folder()
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    formats: tuple[Precision, ...] = ("fp32", "bf16", "fp16") if device.type == "cuda" else ("fp32", "bf16")
    gigaflops: dict[str, float] = {}
    for number, name in enumerate(formats):
        progress.advance("measuring", number, len(formats), "formats")
        gigaflops[name] = _measure_gigaflops(device, name)
    progress.advance("measuring", len(formats), len(formats), "formats")
    return {
        **environment.read_versions(),
        "device": str(device),
        "devices": torch.accelerator.device_count() if torch.accelerator.is_available() else 0,
        "threads": environment.count_threads(),
        "precision_auto": choose_precision("auto", device),
        "gigaflops": gigaflops,
        "index": _check_access("package index", lambda: download.ping_index(PATIENCE), progress),
        "hub": _check_access("Hub", ping_hub, progress),
        "cache": {
            "folder": str(folder),
            "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
            "free_bytes": shutil.disk_usage(folder if folder.is_dir() else os.curdir).free,
            "assets": {entry.name: entry.state for entry in store.list_assets(verify=True)},
        },
    }


def _measure_gigaflops(device: torch.device, precision: Precision) -> float:
    """Return the GFLOP/s of the fastest product. Small products come first: a slow format can take a minute."""
    import torch

    from llmkit.engine.precision import get_dtype

    best = 0.0
    for size in (SIZE // 4, SIZE // 2, SIZE):
        matrix = torch.ones(size, size, dtype=get_dtype(precision), device=device)
        for _ in range(3):
            began = time.perf_counter()
            float((matrix @ matrix)[0, 0])  # reading a value waits for the device
            seconds = time.perf_counter() - began
            best = max(best, 2 * size**3 / seconds / 1e9)
        if seconds > 0.5:
            break
    return round(best, 1)


def _check_access(name: str, request: Callable[[], None], progress: Progress) -> str:
    """Return "reachable", or the kind of error that the request raised."""
    progress.note(f"contacting the {name}")
    try:
        request()
    except Exception as error:  # any failure, from any library, is the result
        return f"not reachable ({type(error).__name__})"
    return "reachable"
