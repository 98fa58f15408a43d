"""One variant, run once in a process of its own: what it took, what it said, and what else the machine did then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Failed", "Measured", "environment", "last_object", "run"]

HERE = Path(__file__).parent
TICK = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """The process ended with an error; the text is the end of what it wrote."""


@dataclass(frozen=True)
class Measured:
    """Of the whole process: seconds by the clock and of the processor, peak memory, and the share of all processors
    that others used meanwhile. said: the JSON object on the last line of its output, {} where there is none."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    foreign: float
    said: dict[str, Any]


def run(command: list[str], environment: Mapping[str, str], folder: Path) -> Measured:
    """Run it, with its output kept in the folder. Raises Failed where it does not end well.

    A small process between starts it: what the system tells of a process's peak memory begins with that of the one
    that started it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [sys.executable, __file__, str(folder), *command], env=environment, cwd=HERE.parent, check=True
    )
    used = json.loads((folder / "used.json").read_text(encoding="utf-8"))
    if used["code"]:
        raise Failed(f"{' '.join(command)}\nexit code {used['code']}\n{_tail(folder / 'stderr')}")
    return Measured(used["wall"], used["cpu"], used["peak"], used["foreign"], last_object(folder / "stdout"))


def _start(folder: Path, command: list[str]) -> None:
    """What the process between does: run the command, and write down what it used."""
    busy, began = _busy_seconds(), time.time()
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as errors:
        known = {**os.environ, "BENCH_BEGAN": repr(began)}
        process = subprocess.Popen(command, env=known, stdout=out, stderr=errors)
        _, status, used = os.wait4(process.pid, 0)  # of this child alone, with those that it waited for
    wall, cpu = time.time() - began, used.ru_utime + used.ru_stime
    found = {
        "wall": wall,
        "cpu": cpu,
        "foreign": max(0.0, _busy_seconds() - busy - cpu) / (wall * (os.cpu_count() or 1)),
        "peak": used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "code": os.waitstatus_to_exitcode(status),
    }
    (folder / "used.json").write_text(json.dumps(found), encoding="utf-8")


def environment(threads: int, folder: Path) -> dict[str, str]:
    """Both sides offline, with so many threads, with caches of data that are empty, and models that are fetched."""
    from llmkit.base import files

    assets, cache = files.get_cache_folder() / "assets", folder / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    if not (cache / "assets").exists():
        (cache / "assets").symlink_to(assets.resolve())
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(cache / "datasets"),
        "LLMKIT_CACHE": str(cache),
        "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false",
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")]),
    }


def last_object(path: Path) -> dict[str, Any]:
    """The JSON object on the last line of a file, {} where there is none."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    try:
        found = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _busy_seconds() -> float:
    """Processor seconds that all processes have used since the machine was started; 0 where the system tells none."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _idle, _waiting, irq, soft, steal = map(int, fields[:8])
    return (user + nice + system + irq + soft + steal) / TICK


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])


if __name__ == "__main__":
    _start(Path(sys.argv[1]), sys.argv[2:])
