"""Run a variant in its own process and measure its time, its peak memory and the load by other processes."""

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

__all__ = ["Measurement", "ProcessFailed", "make_environment", "read_last_object", "run"]

HERE = Path(__file__).parent
TICK = os.sysconf("SC_CLK_TCK")  # clock ticks per second in /proc/stat


class ProcessFailed(Exception):
    """The process exited with an error. The text is the end of its stderr."""


@dataclass(frozen=True)
class Measurement:
    """What one process used.

    Attributes:
        wall_seconds: Real time.
        cpu_seconds: CPU time.
        peak_bytes: Peak resident memory.
        other_load: Fraction of the CPU time of all cores that other processes used meanwhile.
        output: The JSON object on the last line of its stdout; {} if there is none.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    other_load: float
    output: dict[str, Any]


def run(command: list[str], environment: Mapping[str, str], folder: Path) -> Measurement:
    """Run a command and measure it. Its stdout and stderr are kept in the folder.

    A small process starts the command, because the peak memory of a process, as the system counts it, begins with that
    of its parent.

    Raises:
        ProcessFailed: If the exit code is not 0.
    """
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [sys.executable, __file__, str(folder), *command], env=environment, cwd=HERE.parent, check=True
    )
    used = json.loads((folder / "used.json").read_text(encoding="utf-8"))
    if used["code"]:
        last_lines = (folder / "stderr").read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
        raise ProcessFailed("\n".join([" ".join(command), f"exit code {used['code']}", *last_lines]))
    output = read_last_object(folder / "stdout")
    return Measurement(used["wall"], used["cpu"], used["peak"], used["foreign"], output)


def _run_and_measure(folder: Path, command: list[str]) -> None:
    """Run the command and write what it used to used.json. This runs in the small process between."""
    busy, started = _count_busy_seconds(), time.time()
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as errors:
        variables = {**os.environ, "BENCH_BEGAN": repr(started)}
        process = subprocess.Popen(command, env=variables, stdout=out, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)  # of this child and of those that it waited for
    wall, cpu = time.time() - started, usage.ru_utime + usage.ru_stime
    used = {
        "wall": wall,
        "cpu": cpu,
        "foreign": max(0.0, _count_busy_seconds() - busy - cpu) / (wall * (os.cpu_count() or 1)),
        "peak": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "code": os.waitstatus_to_exitcode(status),
    }
    (folder / "used.json").write_text(json.dumps(used), encoding="utf-8")


def make_environment(threads: int, folder: Path) -> dict[str, str]:
    """Return the environment of a run: offline, with this many threads, empty data caches and downloaded models."""
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


def read_last_object(path: Path) -> dict[str, Any]:
    """Return the JSON object on the last line of a file; {} if there is none."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    try:
        value = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _count_busy_seconds() -> float:
    """Return the CPU seconds that all processes have used since the machine started; 0 if the system does not say."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _idle, _waiting, irq, soft, steal = map(int, fields[:8])
    return (user + nice + system + irq + soft + steal) / TICK


if __name__ == "__main__":
    _run_and_measure(Path(sys.argv[1]), sys.argv[2:])
