"""What this machine can do: versions, devices, measured speed, what can be reached, what is cached."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from typing import Any

from llmkit.base import environment, files
from llmkit.base.progress import Progress

__all__ = ["doctor"]

SIZE = 1024  # rows and columns of the measured matrix product; 2 * SIZE**3 operations
PATIENCE = 5.0  # seconds to wait for a server


def doctor(progress: Progress) -> dict[str, Any]:
    """Measured, not looked up; takes about ten seconds."""
    import torch

    device = (
        torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    )
    return {
        **environment.versions(),
        "device": str(device),
        "devices": torch.accelerator.device_count() if torch.accelerator.is_available() else 0,
        "threads": environment.threads(),
        "precision_auto": _auto(device),
        "gigaflops": _speeds(device, progress),
        "index": _reach("package index", _index, progress),
        "hub": _reach("Hub", _hub, progress),
        "cache": _cache(),
    }


def _auto(device: Any) -> str:
    from llmkit.engine.precision import choose_precision

    return choose_precision("auto", device)


def _speeds(device: Any, progress: Progress) -> dict[str, float]:
    """Matrix products in 10^9 operations a second, for each number format."""
    formats = ["fp32", "bf16"] + (["fp16"] if device.type == "cuda" else [])
    measured = {}
    for number, name in enumerate(formats):
        progress.advance("measuring", number, len(formats), "formats")
        measured[name] = _gigaflops(device, name)
    progress.advance("measuring", len(formats), len(formats), "formats")
    return measured


def _gigaflops(device: Any, precision: Any) -> float:
    """The best of a few products; small ones first, since a slow format could take a minute at full size."""
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


def _reach(what: str, ask: Callable[[], None], progress: Progress) -> str:
    """`reachable`, or why not."""
    progress.note(f"asking the {what}")
    try:
        ask()
    except Exception as error:  # any failure is the answer here, whatever library it comes from
        return f"not reachable ({type(error).__name__})"
    return "reachable"


def _index() -> None:
    from llmkit.assets import download

    download.ping_index(PATIENCE)


def _hub() -> None:
    import requests
    from huggingface_hub import constants

    requests.head(constants.ENDPOINT, timeout=PATIENCE).raise_for_status()


def _cache() -> dict[str, Any]:
    from llmkit.assets import store

    folder = files.cache_folder()
    return {
        "folder": str(folder),
        "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if folder.is_dir()
        else 0,
        "free_bytes": shutil.disk_usage(folder if folder.is_dir() else os.curdir).free,
        "assets": {entry.name: entry.state for entry in store.list_assets(verify=True)},
    }
